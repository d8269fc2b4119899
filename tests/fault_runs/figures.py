"""What came of the runs of one fault: the figures of its row in the table, and what is wrong with them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fault_runs.ledger import Due, Ledger, Stored, wrong_decisions
from tests.fault_runs.mail_server import Taken
from tests.fault_runs.poster import Sent

# Around a kill: the mail server may take a mail that a dead process had just handed over, and a commit takes a moment.
WINDOW_SECONDS = 1.0


@dataclass
class Figures:
    runs: int = 0
    messages: int = 0  # acknowledged
    decisions: int = 0  # stored, each with one
    suppressed: int = 0  # of these: not e-mailed
    deliveries: int = 0  # mails due, with a row of their own
    mails: int = 0  # taken by the mail server
    lost: int = 0  # messages acknowledged and not stored, mails due and not taken
    doubled_in_window: int = 0  # a kill came between the 250 and the commit
    doubled: int = 0  # messages stored twice, all other mails that came twice
    kills: int = 0
    failed_attempts: int = 0  # answers lost or 5xx; each was asked for again
    stored_unanswered: int = 0  # messages whose first answer was lost after they were stored
    slowest_post: float = 0.0  # seconds until an answer
    slowest_percent: float = 0.0  # 99 of 100 were quicker
    all_in: float = 0.0  # seconds from a fault's end to the last mail, the longest of the runs
    wrong: list[str] = field(default_factory=list)

    @property
    def flaws(self) -> list[str]:
        """What may not be, whatever the fault."""
        counted = {"lost": self.lost, "doubled": self.doubled}
        return [f"{count} {name}" for name, count in counted.items() if count] + self.wrong


def figures_of(
    ledger: Ledger, sent: Sequence[Sent], taken: Sequence[Taken], cuts: Sequence[float], refused: Sequence[str]
) -> Figures:
    stored, due, rows = ledger.messages(), ledger.due(), ledger.deliveries()
    figures = Figures(messages=len(sent), decisions=len(stored), mails=len(taken))
    figures.suppressed = sum(message.outcome == "no_email" for message in stored)
    _count_messages(figures, sent, stored)
    due_rows = {(one.message, one.member) for one in due}
    figures.deliveries = sum((row.message, row.member) in due_rows for row in rows)
    if figures.deliveries != len(due):
        figures.wrong.append(f"{len(due)} mails due, {figures.deliveries} deliveries")
    if unsettled := [row for row in rows if row.state not in ("sent", "failed")]:
        figures.wrong.append(f"deliveries neither sent nor failed: {unsettled[:5]}")
    _count_mails(figures, [one for one in due if one.recipient not in refused], taken, cuts)
    _time_posts(figures, sent)
    return figures


def _count_messages(figures: Figures, sent: Sequence[Sent], stored: Sequence[Stored]) -> None:
    lost = {one.client_id for one in sent} - {message.client_id for message in stored}
    figures.lost += len(lost)
    figures.doubled += len(stored) - len({message.body for message in stored})
    if unknown := {message.client_id for message in stored} - {one.client_id for one in sent}:
        figures.wrong.append(f"{len(unknown)} messages stored that nobody was told of")
    posted_on = {message.client_id: message.posted_at for message in stored}
    figures.stored_unanswered = sum(
        len(one.attempts) > 1 and posted_on[one.client_id] < one.attempts[-1].begun_on
        for one in sent
        if one.client_id in posted_on
    )
    if wrong := wrong_decisions(list(stored)):
        figures.wrong.append(f"{len(wrong)} messages out of order or decided wrongly, as {wrong[0]}")


def _count_mails(figures: Figures, due: Sequence[Due], taken: Sequence[Taken], cuts: Sequence[float]) -> None:
    copies: dict[tuple[str, str], list[Taken]] = defaultdict(list)
    for mail in taken:
        copies[mail.recipient, mail.message_id].append(mail)
    expected = Counter(one.recipient for one in due)
    received = Counter(recipient for recipient, _message_id in copies)
    figures.lost += (expected - received).total()
    figures.doubled += (received - expected).total()  # under an id of its own, or to somebody who is not due
    last_of_connection = {mail.connection: mail for mail in taken}
    for mails in copies.values():
        for earlier in mails[:-1]:
            # Whoever is killed after handing over a mail hands over no other.
            was_cut_off = last_of_connection[earlier.connection] is earlier
            if was_cut_off and any(abs(earlier.at - cut) < WINDOW_SECONDS for cut in cuts):
                figures.doubled_in_window += 1
            else:
                figures.doubled += 1


def _time_posts(figures: Figures, sent: Sequence[Sent]) -> None:
    attempts = [attempt for one in sent for attempt in one.attempts]
    figures.failed_attempts = sum(not attempt.succeeded for attempt in attempts)
    seconds = sorted(attempt.seconds for attempt in attempts if attempt.status)
    if seconds:
        figures.slowest_post = seconds[-1]
        figures.slowest_percent = seconds[int(len(seconds) * 0.99)]


def shortage(due: Sequence[Due], taken: Sequence[Taken], refused: Sequence[str]) -> int:
    """How many mails are still to come."""
    expected = Counter(one.recipient for one in due if one.recipient not in refused)
    received = Counter(recipient for recipient, _message_id in {(mail.recipient, mail.message_id) for mail in taken})
    return (expected - received).total()
