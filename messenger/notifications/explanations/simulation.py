"""What other notification intervals would have done: the last four weeks of a topic, replayed by the same rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from messenger.models import Message, Topic
from messenger.notifications.explanations.wording import elapsed_in_words, interval_in_short, interval_in_words
from messenger.notifications.rule import is_email_due

WINDOW = timedelta(weeks=4)
# A topic may be a busy one, and its manager waits for the page.
MOST_MESSAGES = 10_000
# In minutes; those that people choose from in practice.
INTERVALS = (0, 5, 15, 30, 60, 2 * 60, 4 * 60, 8 * 60, 24 * 60)


@dataclass(frozen=True)
class Replay:
    emails: int
    # From an e-mailed message (the first of all, if that was not) to the last one after it that was not; zero
    # where every message is e-mailed.
    longest_silence: timedelta


def replay(posted_at: Sequence[datetime], previous: datetime | None, interval: timedelta) -> Replay:
    """What an interval would have done to messages posted at these moments, oldest first.

    `previous` is when the message before the first of them was posted; None: there was none.
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
    is_capped: bool  # there were more messages than are replayed

    @property
    def chosen(self) -> IntervalOutcome | None:
        return next((row for row in self.rows if row.is_chosen), None)


def simulate(topic: Topic, saved: int, chosen: int | None, now: datetime) -> Simulation:
    """The usual intervals, the saved and the chosen one (in minutes; None: none is chosen), shortest first."""
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
    """When the topic's newest messages since then were posted, and when the one before them was."""
    messages = Message.objects.filter(topic=topic)
    # By sequence: it has no gaps, and the index brings no more rows than are wanted.
    newest = messages.after(topic.last_sequence - MOST_MESSAGES).filter(posted_at__gte=since)
    rows = list(newest.oldest_first().values_list("sequence", "posted_at"))
    if not rows:
        return [], None
    before = messages.filter(sequence=rows[0][0] - 1).values_list("posted_at", flat=True).first()
    return [posted_at for _sequence, posted_at in rows], before
