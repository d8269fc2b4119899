"""What other notification intervals would have done: the last four weeks of a topic, replayed with the same rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from messenger.models import Message, Topic
from messenger.notifications.explanations.wording import elapsed_in_words, interval_in_short, interval_in_words
from messenger.notifications.rule import is_email_due

WINDOW = timedelta(weeks=4)
# A limit for busy topics, because a manager waits for the page.
MAX_MESSAGES = 10_000
# In minutes: the ones that are used in practice.
INTERVALS = (0, 5, 15, 30, 60, 2 * 60, 4 * 60, 8 * 60, 24 * 60)


@dataclass(frozen=True)
class Replay:
    emails: int
    # From an e-mailed message to the last one that was not, before the next e-mail. The first silence may start with a
    # message that was not e-mailed. Zero if every message is e-mailed.
    longest_silence: timedelta


def replay(posted_at: Sequence[datetime], previous: datetime | None, interval: timedelta) -> Replay:
    """What an interval would have done to messages posted at these times, oldest first.

    `previous` is the time of the message before the first of them; None: there was none.
    """
    emails, longest_silence, since = 0, timedelta(0), None
    for moment in posted_at:
        if is_email_due(moment, previous, interval):
            emails += 1
            since = moment
        else:
            since = since or moment
            longest_silence = max(longest_silence, moment - since)
        previous = moment
    return Replay(emails, longest_silence)


@dataclass(frozen=True)
class IntervalOutcome:
    minutes: int
    replay: Replay
    is_chosen: bool
    is_saved: bool

    @property
    def interval(self) -> str:
        return interval_in_words(self.minutes)

    @property
    def interval_in_short(self) -> str:
        return interval_in_short(self.minutes)

    @property
    def longest_silence(self) -> str:
        return elapsed_in_words(self.replay.longest_silence)


@dataclass(frozen=True)
class Simulation:
    rows: list[IntervalOutcome]
    messages: int
    is_capped: bool  # there were more than MAX_MESSAGES, and only the newest were replayed

    @property
    def chosen(self) -> IntervalOutcome | None:
        return next((row for row in self.rows if row.is_chosen), None)


def simulate(topic: Topic, saved: int, chosen: int | None, now: datetime) -> Simulation:
    """Replay the usual intervals, the saved one and the chosen one, if any (all in minutes), shortest first."""
    posted_at, previous = _posted_in_window(topic, now - WINDOW)
    rows = [
        IntervalOutcome(
            minutes,
            replay(posted_at, previous, timedelta(minutes=minutes)),
            is_chosen=minutes == chosen,
            is_saved=minutes == saved,
        )
        for minutes in sorted({*INTERVALS, saved, saved if chosen is None else chosen})
    ]
    return Simulation(rows, len(posted_at), is_capped=previous is not None and previous >= now - WINDOW)


def _posted_in_window(topic: Topic, since: datetime) -> tuple[list[datetime], datetime | None]:
    """When the topic's newest messages since then were posted, and when the message before them was."""
    messages = Message.objects.filter(topic=topic)
    # Limited by sequence numbers, which have no gaps: so the index returns only the rows that are needed.
    newest = messages.after(topic.last_sequence - MAX_MESSAGES).filter(posted_at__gte=since)
    rows = list(newest.oldest_first().values_list("sequence", "posted_at"))
    if not rows:
        return [], None
    before = messages.filter(sequence=rows[0][0] - 1).values_list("posted_at", flat=True).first()
    return [posted_at for _sequence, posted_at in rows], before
