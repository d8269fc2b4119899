"""One look at the database for many open streams: who may still listen, and what is new for those who may.

All of a look is one snapshot. So nobody is handed a message who could not have opened the topic at the moment at
which the message was there to be handed out (docs/decisions/0025-streams-carry-rows.md).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone, translation
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from accounts.sessions import STILL_OPEN
from common.database.prepared import Prepared, instance
from messenger.live.listeners import LISTENING, TOPICS_IN_USE, readable_revisions
from messenger.messages.rendering import SHARED, Reader
from messenger.models import MailPreference, Topic, TopicMute
from messenger.notifications.explanations.forecast_text import ForecastText
from messenger.notifications.recipients import audience_of
from messenger.threads.pages import changes

MUTED = Prepared("muted", lambda topic: TopicMute.objects.filter(topic=topic).values_list("member"), "bigint")
WANTING_OWN = Prepared(
    "wanting_own",
    lambda tenancy: MailPreference.objects.filter(own_messages=True, member__tenancy=tenancy).values_list("member"),
    "bigint",
)


@dataclass(frozen=True, slots=True)
class StreamContext:
    """Whose stream it is and how they see things, as it was when the stream opened."""

    session_key: str
    password: str | None  # hashed; None where the session does not know its user
    member_id: int
    topic_id: int
    language: str
    time_zone: str
    slug: str


@dataclass(frozen=True, slots=True)
class Update:
    revision: int
    event: bytes


class CloseReason(Enum):
    """Why somebody may not listen any more."""

    NO_ACCESS = "no access"
    SIGNED_OUT = "signed out"


def collect_updates(
    batches: Sequence[Sequence[tuple[StreamContext, int]]],
    answer: Callable[[int, list[Update | CloseReason | None]], object],
) -> None:
    """For each of these, with the revision that they were told last: what is new, if anything is.

    `answer` is called with the number of each batch as soon as it is known; all of them are of one snapshot.
    """
    with _one_snapshot():
        topic_ids = {context.topic_id for batch in batches for context, _ in batch}
        topics = {topic.pk: topic for topic in map(_as_topic, TOPICS_IN_USE(sorted(topic_ids)))}
        writer = _UpdateBuilder(topics)
        for number, batch in enumerate(batches):
            answer(number, _found(batch, topics, writer))


def _as_topic(values: tuple[Any, ...]) -> Topic:
    return instance(Topic, values)


def _found(
    listening: Sequence[tuple[StreamContext, int]], topics: Mapping[int, Topic], writer: "_UpdateBuilder"
) -> list[Update | CloseReason | None]:
    """One statement says who may listen; only where it does not name somebody, two more say why."""
    groups = {topics[context.topic_id].group_id for context, _ in listening if context.topic_id in topics}
    may = set(LISTENING([context.session_key for context, _ in listening], sorted(groups), timezone.now()))
    found: list[Update | CloseReason | None] = []
    unclear = []
    for context, since in listening:
        topic = topics.get(context.topic_id)
        if topic and (context.session_key, context.password, context.member_id, topic.group_id) in may:
            found.append(writer.update(context, since) if topic.revision > since else None)
        else:
            unclear.append(len(found))
            found.append(CloseReason.NO_ACCESS)
    if unclear:
        _make_clear(found, unclear, listening, writer)
    return found


def _make_clear(
    found: list[Update | CloseReason | None],
    unclear: Sequence[int],
    listening: Sequence[tuple[StreamContext, int]],
    writer: "_UpdateBuilder",
) -> None:
    """Who is signed out, who has no access, and who may listen by a session that does not know its user."""
    asked = [listening[place][0] for place in unclear]
    sessions = dict(STILL_OPEN([context.session_key for context in asked], timezone.now()))
    revisions = readable_revisions({context.member_id for context in asked}, {context.topic_id for context in asked})
    for place in unclear:
        context, since = listening[place]
        revision = revisions.get((context.member_id, context.topic_id))
        if context.session_key not in sessions or sessions[context.session_key] != context.password:
            found[place] = CloseReason.SIGNED_OUT
        elif revision is not None:
            found[place] = writer.update(context, since) if revision > since else None


@contextmanager
def _one_snapshot() -> Iterator[None]:
    """A read-only transaction on one snapshot. Restores the settings of the connection afterwards."""
    connection.set_autocommit(False)  # raises an error inside another transaction
    session = connection.connection
    found = session.isolation_level, session.readonly
    try:
        # With autocommit off, psycopg2 adds these to BEGIN; with autocommit on, it would send SET statements.
        session.isolation_level, session.readonly = ISOLATION_LEVEL_REPEATABLE_READ, True
        with transaction.atomic(savepoint=False):
            yield
        connection.commit()
        session.isolation_level, session.readonly = found
        connection.set_autocommit(True)
    except BaseException:
        connection.close()  # its state is unknown; Django opens a new one when needed
        raise


def changed_event(revision: int, **content: int | str | dict[str, Any]) -> bytes:
    data = json.dumps({"revision": revision, **content}, separators=(",", ":"), ensure_ascii=False)
    return f"id: {revision}\nevent: changed\ndata: {data}\n\n".encode()


class _UpdateBuilder:
    """Writes the events of one look, each distinct one once: most readers of a busy thread are told the same."""

    def __init__(self, topics: Mapping[int, Topic]) -> None:
        self._topics = topics
        self._subjects: dict[int, _TopicState] = {}
        self._changes: dict[tuple[int, int], _Change] = {}

    def update(self, context: StreamContext, since: int) -> Update:
        """For somebody who passed the check of the same look."""
        found = self._changes.get((context.topic_id, since))
        if found is None:
            subject = self._subjects.get(context.topic_id) or _TopicState(self._topics[context.topic_id])
            self._subjects[context.topic_id] = subject
            found = self._changes[context.topic_id, since] = _Change(subject, since)
        return found.update(context)


class _Change:
    """What changed in a topic since a revision."""

    def __init__(self, subject: "_TopicState", since: int) -> None:
        self._subject, self._since = subject, since
        self._changes = changes(subject.topic.pk, since)
        self._concerned = self._changes.concerned
        self._is_too_much = self._changes.is_more_than_a_page
        # To all others it is the same, but for language and zone.
        self._special = self._concerned | subject.choosing
        self._written: dict[tuple[int, int, str, str], Update] = {}
        self._written_for_most: dict[tuple[str, str], Update] = {}

    def update(self, context: StreamContext) -> Update:
        if context.member_id in self._special:
            return self._news_for(context)
        key = (context.language, context.time_zone)
        found = self._written_for_most.get(key)
        if found is None:
            found = self._written_for_most[key] = self._news_for(context)
        return found

    def _news_for(self, context: StreamContext) -> Update:
        recipients = self._subject.recipients(context.member_id)
        whose = context.member_id if context.member_id in self._concerned else SHARED
        key = (recipients, whose, context.language, context.time_zone)
        found = self._written.get(key)
        if found is None:
            event = self._write(context, whose, recipients)
            found = self._written[key] = Update(self._subject.topic.revision, event)
        return found

    def _write(self, context: StreamContext, whose: int, recipients: int) -> bytes:
        revision = self._subject.topic.revision
        if self._is_too_much:
            return changed_event(revision)
        with translation.override(context.language), timezone.override(ZoneInfo(context.time_zone)):
            html = self._changes.html(Reader.at(context.slug, context.topic_id, whose))
            # In words: dressed with its icons it would be twice as long as the message, a thousand times over.
            forecast = asdict(self._subject.forecast(recipients))
        return changed_event(revision, since=self._since, html=html, forecast=forecast)


class _TopicState:
    """A topic, and what its next message would do for each of its readers."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._audience = audience_of(topic)
        self._muted = {member for (member,) in MUTED(topic.pk)}
        self._wanting_own = {member for (member,) in WANTING_OWN(topic.tenancy_id)}

    @property
    def choosing(self) -> set[int]:
        """Who chose something that makes their forecast another one."""
        return self._muted | self._wanting_own

    def recipients(self, member_id: int) -> int:
        """How many would be mailed a message of theirs."""
        return self._audience.recipients(is_muted=member_id in self._muted, wants_own=member_id in self._wanting_own)

    def forecast(self, recipients: int) -> ForecastText:
        return ForecastText.of(self.topic, recipients)
