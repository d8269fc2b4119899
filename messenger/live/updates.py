"""Collects updates for many open streams: which of them still have access, and what is new for those.

Access and messages are read in one snapshot of the database. So a message reaches only members who could have opened
the topic at that same moment (docs/decisions/0025-streams-carry-rows.md).
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
from messenger.live.stream_access import SESSIONS_WITH_ACCESS, TOPICS_IN_USE, readable_revisions
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
    """Whose stream it is, and their language and time zone, as of when the stream opened."""

    session_key: str
    password: str | None  # hashed; None if the session's row has no user
    member_id: int
    topic_id: int
    language: str
    time_zone: str
    slug: str


@dataclass(frozen=True, slots=True)
class Update:
    revision: int
    event: bytes  # as sent


class CloseReason(Enum):
    """Why a stream has to end."""

    NO_ACCESS = "no access"
    SIGNED_OUT = "signed out"


def collect_updates(
    batches: Sequence[Sequence[tuple[StreamContext, int]]],
    on_batch: Callable[[int, list[Update | CloseReason | None]], object],
) -> None:
    """Collect what is new for each stream since the last revision sent to it; None if nothing is.

    `on_batch` is called with the index and the results of each batch as soon as they are known. All batches are of one
    snapshot. Must not be called within a transaction.
    """
    with _one_snapshot():
        topic_ids = {context.topic_id for batch in batches for context, _ in batch}
        topics = {topic.pk: topic for topic in map(_as_topic, TOPICS_IN_USE(sorted(topic_ids)))}
        builder = _UpdateBuilder(topics)
        for number, batch in enumerate(batches):
            on_batch(number, _collect_batch(batch, topics, builder))


def _as_topic(values: tuple[Any, ...]) -> Topic:
    return instance(Topic, values)


def _collect_batch(
    batch: Sequence[tuple[StreamContext, int]], topics: Mapping[int, Topic], builder: "_UpdateBuilder"
) -> list[Update | CloseReason | None]:
    """One statement finds the streams with access. Only if it leaves some out, two more find out why."""
    groups = {topics[context.topic_id].group_id for context, _ in batch if context.topic_id in topics}
    session_keys = [context.session_key for context, _ in batch]
    with_access = set(SESSIONS_WITH_ACCESS(session_keys, sorted(groups), timezone.now()))
    results: list[Update | CloseReason | None] = []
    left_out = []
    for context, since in batch:
        topic = topics.get(context.topic_id)
        if topic and (context.session_key, context.password, context.member_id, topic.group_id) in with_access:
            results.append(builder.update(context, since) if topic.revision > since else None)
        else:
            left_out.append(len(results))
            results.append(CloseReason.NO_ACCESS)
    if left_out:
        _recheck(results, left_out, batch, builder)
    return results


def _recheck(
    results: list[Update | CloseReason | None],
    positions: Sequence[int],
    batch: Sequence[tuple[StreamContext, int]],
    builder: "_UpdateBuilder",
) -> None:
    """Correct the results at these positions: signed out, or with access by a session whose row has no user."""
    contexts = [batch[position][0] for position in positions]
    sessions = dict(STILL_OPEN([context.session_key for context in contexts], timezone.now()))
    members, topics = {context.member_id for context in contexts}, {context.topic_id for context in contexts}
    revisions = readable_revisions(members, topics)
    for position in positions:
        context, since = batch[position]
        revision = revisions.get((context.member_id, context.topic_id))
        if context.session_key not in sessions or sessions[context.session_key] != context.password:
            results[position] = CloseReason.SIGNED_OUT
        elif revision is not None:
            results[position] = builder.update(context, since) if revision > since else None


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
    """The server-sent event for a change, as sent; `content` is added to its JSON."""
    data = json.dumps({"revision": revision, **content}, separators=(",", ":"), ensure_ascii=False)
    return f"id: {revision}\nevent: changed\ndata: {data}\n\n".encode()


class _UpdateBuilder:
    """Builds the updates of one snapshot. Most readers of a busy thread get the same one, which is built once."""

    def __init__(self, topics: Mapping[int, Topic]) -> None:
        self._topics = topics
        self._states: dict[int, _TopicState] = {}
        self._changes: dict[tuple[int, int], _Change] = {}

    def update(self, context: StreamContext, since: int) -> Update:
        """What changed since that revision. Call this only for a stream that has access in the same snapshot."""
        change = self._changes.get((context.topic_id, since))
        if change is None:
            state = self._states.get(context.topic_id) or _TopicState(self._topics[context.topic_id])
            self._states[context.topic_id] = state
            change = self._changes[context.topic_id, since] = _Change(state, since)
        return change.update(context)


class _Change:
    """What changed in a topic since a revision."""

    def __init__(self, state: "_TopicState", since: int) -> None:
        self._state, self._since = state, since
        self._changes = changes(state.topic.pk, since)
        self._personalised = self._changes.concerned
        self._is_too_much = self._changes.is_more_than_a_page
        # All other members get the same update, except for language and time zone.
        self._members_with_own_update = self._personalised | state.members_with_preferences
        self._updates: dict[tuple[int, int, str, str], Update] = {}
        self._updates_for_most: dict[tuple[str, str], Update] = {}

    def update(self, context: StreamContext) -> Update:
        if context.member_id in self._members_with_own_update:
            return self._update_for(context)
        key = (context.language, context.time_zone)
        update = self._updates_for_most.get(key)
        if update is None:
            update = self._updates_for_most[key] = self._update_for(context)
        return update

    def _update_for(self, context: StreamContext) -> Update:
        recipients = self._state.recipients(context.member_id)
        reader = context.member_id if context.member_id in self._personalised else SHARED
        key = (recipients, reader, context.language, context.time_zone)
        update = self._updates.get(key)
        if update is None:
            event = self._event(context, reader, recipients)
            update = self._updates[key] = Update(self._state.topic.revision, event)
        return update

    def _event(self, context: StreamContext, reader: int, recipients: int) -> bytes:
        revision = self._state.topic.revision
        if self._is_too_much:
            return changed_event(revision)
        with translation.override(context.language), timezone.override(ZoneInfo(context.time_zone)):
            html = self._changes.html(Reader.at(context.slug, context.topic_id, reader))
            # In words: as HTML with its icons it would be twice as long as the message, for each of a thousand streams.
            forecast = asdict(self._state.forecast(recipients))
        return changed_event(revision, since=self._since, html=html, forecast=forecast)


class _TopicState:
    """A topic, and what its next message would do for each of its readers."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self._audience = audience_of(topic)
        self._muted = {member for (member,) in MUTED(topic.pk)}
        self._wanting_own = {member for (member,) in WANTING_OWN(topic.tenancy_id)}

    @property
    def members_with_preferences(self) -> set[int]:
        """Members whose preferences change their forecast."""
        return self._muted | self._wanting_own

    def recipients(self, member_id: int) -> int:
        """How many people would be e-mailed a message of this member."""
        return self._audience.recipients(is_muted=member_id in self._muted, wants_own=member_id in self._wanting_own)

    def forecast(self, recipients: int) -> ForecastText:
        return ForecastText.of(self.topic, recipients)
