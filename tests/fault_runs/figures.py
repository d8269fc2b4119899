"""The figures of a fault's runs: a row of the table, and what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fault_runs.ledger import DueMail, Ledger, Stored, wrong_decisions
from tests.fault_runs.mail_server import AcceptedMail
from tests.fault_runs.poster import Sent

# Around an interruption: the mail server may accept a mail just after its sender died, and a commit takes a moment.
WINDOW_SECONDS = 1.0


@dataclass
class Figures:
    runs: int = 0
    messages: int = 0  # acknowledged
    decisions: int = 0  # messages stored, each with a decision
    suppressed: int = 0  # of these, not e-mailed
    deliveries: int = 0  # due mails that have a delivery
    mails: int = 0  # accepted by the mail server
    lost: int = 0  # messages acknowledged but not stored, and mails due but not accepted
    doubled_in_window: int = 0  # mails sent twice because of an interruption between the 250 and the commit
    doubled: int = 0  # messages stored twice, and all other mails sent twice
    kills: int = 0
    failed_attempts: int = 0  # posts without a response or with a 5xx; each was sent again
    stored_unanswered: int = 0  # messages that were stored, but whose first response was lost
    slowest_post: float = 0.0  # seconds until the response
    slowest_percent: float = 0.0  # seconds: 99 of 100 posts were faster
    last_mail: float = 0.0  # seconds from a fault's end to the last mail, in the slowest run
    wrong: list[str] = field(default_factory=list)

    @property
    def flaws(self) -> list[str]:
        """What must never happen, whatever the fault."""
        counted = {"lost": self.lost, "doubled": self.doubled}
        return [f"{count} {name}" for name, count in counted.items() if count] + self.wrong


def figures_of(
    ledger: Ledger,
    sent: Sequence[Sent],
    accepted: Sequence[AcceptedMail],
    interruptions: Sequence[float],
    refused: Sequence[str],
) -> Figures:
    """Compare what was posted, what is in the database and which mails arrived.

    `interruptions`: times (time.monotonic()) near which a mail may be sent twice. `refused`: addresses that get none.
    """
    stored, due, rows = ledger.messages(), ledger.due(), ledger.deliveries()
    figures = Figures(messages=len(sent), decisions=len(stored), mails=len(accepted))
    figures.suppressed = sum(message.outcome == "no_email" for message in stored)
    _count_messages(figures, sent, stored)
    due_rows = {(mail.message, mail.member) for mail in due}
    figures.deliveries = sum((row.message, row.member) in due_rows for row in rows)
    if figures.deliveries != len(due):
        figures.wrong.append(f"{len(due)} mails due, {figures.deliveries} deliveries")
    if unsettled := [row for row in rows if row.state not in ("sent", "failed")]:
        figures.wrong.append(f"deliveries neither sent nor failed: {unsettled[:5]}")
    _count_mails(figures, [mail for mail in due if mail.recipient not in refused], accepted, interruptions)
    _time_posts(figures, sent)
    return figures


def _count_messages(figures: Figures, sent: Sequence[Sent], stored: Sequence[Stored]) -> None:
    lost = {post.client_id for post in sent} - {message.client_id for message in stored}
    figures.lost += len(lost)
    figures.doubled += len(stored) - len({message.body for message in stored})
    if unknown := {message.client_id for message in stored} - {post.client_id for post in sent}:
        figures.wrong.append(f"{len(unknown)} messages stored, but never acknowledged")
    posted_on = {message.client_id: message.posted_at for message in stored}
    figures.stored_unanswered = sum(
        len(post.attempts) > 1 and posted_on[post.client_id] < post.attempts[-1].begun_on
        for post in sent
        if post.client_id in posted_on
    )
    if wrong := wrong_decisions(list(stored)):
        figures.wrong.append(f"{len(wrong)} messages out of order or decided wrongly, as {wrong[0]}")


def _count_mails(
    figures: Figures, due: Sequence[DueMail], accepted: Sequence[AcceptedMail], interruptions: Sequence[float]
) -> None:
    copies: dict[tuple[str, str], list[AcceptedMail]] = defaultdict(list)
    for mail in accepted:
        copies[mail.recipient, mail.message_id].append(mail)
    expected = Counter(mail.recipient for mail in due)
    received = Counter(recipient for recipient, _message_id in copies)
    figures.lost += (expected - received).total()
    figures.doubled += (received - expected).total()  # with another Message-ID, or to an address that should get none
    last_of_connection = {mail.connection: mail for mail in accepted}
    for mails in copies.values():
        for earlier in mails[:-1]:
            # A process that is killed after sending a mail sends no other over the same connection.
            was_interrupted = last_of_connection[earlier.connection] is earlier
            if was_interrupted and any(abs(earlier.at - moment) < WINDOW_SECONDS for moment in interruptions):
                figures.doubled_in_window += 1
            else:
                figures.doubled += 1


def _time_posts(figures: Figures, sent: Sequence[Sent]) -> None:
    attempts = [attempt for post in sent for attempt in post.attempts]
    figures.failed_attempts = sum(not attempt.succeeded for attempt in attempts)
    seconds = sorted(attempt.seconds for attempt in attempts if attempt.status)
    if seconds:
        figures.slowest_post = seconds[-1]
        figures.slowest_percent = seconds[int(len(seconds) * 0.99)]


def count_missing(due: Sequence[DueMail], accepted: Sequence[AcceptedMail], refused: Sequence[str]) -> int:
    """The number of due mails that have not arrived."""
    expected = Counter(mail.recipient for mail in due if mail.recipient not in refused)
    received = Counter(recipient for recipient, _message_id in {(mail.recipient, mail.message_id) for mail in accepted})
    return (expected - received).total()
