"""Reads the results of a fault run from PostgreSQL, with separate statements instead of the product's code."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from uuid import UUID

import psycopg2

from ippex_messenger.embedded.home import Home
from tests.fault_runs.scene import SLUG

MESSAGES = """
    SELECT message.topic_id, message.sequence, message.client_id::text, message.body, message.posted_at,
           message.outcome, message.interval_minutes, message.elapsed
    FROM messenger_message message JOIN tenancy_tenancy tenancy ON tenancy.id = message.tenancy_id
    WHERE tenancy.slug = %s ORDER BY message.topic_id, message.sequence
"""
# By the members of the group, not by the deliveries: these are to be checked. No one joins or leaves during a run.
DUE = """
    SELECT person.email, message.id, member.id
    FROM messenger_message message
    JOIN tenancy_tenancy tenancy ON tenancy.id = message.tenancy_id
    JOIN messenger_topic topic ON topic.id = message.topic_id
    JOIN messenger_groupmembership membership ON membership.group_id = topic.group_id
    JOIN tenancy_member member ON member.id = membership.member_id
    JOIN accounts_user person ON person.id = member.user_id
    WHERE tenancy.slug = %s AND message.outcome = 'email' AND member.id <> message.author_id
"""
DELIVERIES = """
    SELECT delivery.message_id, delivery.member_id, delivery.state
    FROM messenger_delivery delivery JOIN tenancy_tenancy tenancy ON tenancy.id = delivery.tenancy_id
    WHERE tenancy.slug = %s AND delivery.reason <> 'author'
"""


@dataclass(frozen=True)
class Stored:
    topic: int
    sequence: int
    client_id: UUID
    body: str
    posted_at: datetime
    outcome: str
    interval_minutes: int
    elapsed: timedelta | None


@dataclass(frozen=True)
class DueMail:
    """A mail that must be sent, by the decision and the members of the group."""

    recipient: str
    message: int
    member: int


@dataclass(frozen=True)
class DeliveryRow:
    message: int
    member: int
    state: str


class Ledger:
    def __init__(self, home: Home) -> None:
        self._url = home.database_url

    def answers(self) -> bool:
        try:
            self._rows("SELECT %s")
        except psycopg2.Error:
            return False
        return True

    def messages(self) -> list[Stored]:
        return [Stored(row[0], row[1], UUID(row[2]), *row[3:]) for row in self._rows(MESSAGES)]  # type: ignore[arg-type]

    def due(self) -> list[DueMail]:
        return [DueMail(*row) for row in self._rows(DUE)]  # type: ignore[arg-type]

    def deliveries(self) -> list[DeliveryRow]:
        return [DeliveryRow(*row) for row in self._rows(DELIVERIES)]  # type: ignore[arg-type]

    def _rows(self, statement: str) -> list[tuple[object, ...]]:
        connection = psycopg2.connect(self._url, connect_timeout=2)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, [SLUG])
                return cursor.fetchall()
        finally:
            connection.close()


def wrong_decisions(messages: list[Stored]) -> list[Stored]:
    """The messages that are out of order in their topic, or whose decision breaks the rule.

    `messages` must be ordered by topic and sequence.
    """
    wrong = []
    for _topic, group in groupby(messages, key=lambda message: message.topic):
        thread = list(group)
        if not _is_right(thread[0], 1, None):
            wrong.append(thread[0])
        wrong += [later for earlier, later in pairwise(thread) if not _is_right(later, earlier.sequence + 1, earlier)]
    return wrong


def _is_right(message: Stored, sequence: int, previous: Stored | None) -> bool:
    elapsed = message.posted_at - previous.posted_at if previous else None
    is_due = elapsed is None or elapsed >= timedelta(minutes=message.interval_minutes)
    return (
        message.sequence == sequence
        and message.elapsed == elapsed
        and (elapsed is None or elapsed >= timedelta(0))
        and message.outcome == ("email" if is_due else "no_email")
    )
