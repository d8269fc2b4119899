"""The only writer of messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from common.database.constraints import violates
from common.database.prepared import Prepared, PreparedSql, columns, instance
from common.jobs import enqueue_on_commit
from messenger import events
from messenger.markup.markdown import RENDERER_VERSION, Body, clean_body, prepare, render
from messenger.messages.mentioning import people_in, save_mentions
from messenger.models import Message, Topic
from messenger.notifications.rule import decide
from messenger.reading.positions import mark_read
from tenancy.models import Member

# Until the transaction ends, nobody joins or leaves the topic's group; others may post at the same time. So "who was a
# member when it was posted" has one answer. A statement of its own before the access rule is asked: a query that has to
# wait for a lock judges other tables by what it saw before the wait.
HELD_GROUP = PreparedSql(
    "held_group",
    "SELECT id FROM messenger_messengergroup WHERE id = (SELECT group_id FROM messenger_topic WHERE id = $1) FOR SHARE",
    "bigint",
)


class DifferentTextError(Exception):
    """This author used this client id in this topic before, for another text."""


class Previous(NamedTuple):
    """The message before: whose it is, and when it was posted."""

    author_id: int
    posted_at: datetime


@dataclass(frozen=True)
class Posted:
    message: Message
    previous: Previous | None  # in the topic; None: it is the first
    is_new: bool  # False: a double click or a retry, answered with the message already stored


def post_message(topic_pk: int, author: Member, body: str, client_id: UUID) -> Posted:
    """Write a message with its decision about e-mail; after the commit tell the streams and the sender.

    Raises Topic.DoesNotExist where the author may not take part (any more), ValidationError for a text
    that won't do, DifferentTextError for a client id that belongs to another text.
    """
    text = clean_body(body)
    try:
        with transaction.atomic():
            return _post(topic_pk, author, text, client_id)
    except IntegrityError as error:
        if not violates(error, "message_client_id_once"):
            raise
    earlier = Message.objects.visible_to(author).select_related("topic")
    message = earlier.filter(topic=topic_pk, author=author, client_id=client_id).first()
    if message is None:  # they lost the topic in between
        raise Topic.DoesNotExist
    if message.body != text:
        raise DifferentTextError
    return Posted(message, previous=None, is_new=False)


def _post(topic_pk: int, author: Member, text: str, client_id: UUID) -> Posted:
    if "@" in text:
        HELD_GROUP(topic_pk)  # who can be mentioned are those who are in the group when it is posted
    body = render(text, people_in(topic_pk, text))
    topic, roster = _lock(topic_pk, author)
    # The clock is read under the lock, and never goes back: hosts' clocks differ.
    posted_at = timezone.now()
    if topic.last_sequence:
        posted_at = max(posted_at, topic.last_activity_at)
    posted = write_message(topic, author, body, client_id, posted_at, roster)
    message = posted.message
    if message.sequence == 1:  # nothing before it is unread
        mark_read(topic, author, message.sequence)
    events.publish_after_commit(topic)
    if message.outcome == Message.Outcome.EMAIL:
        enqueue_on_commit("messenger.tasks.notify_members", message.pk)
    return posted


# "The previous message" has one meaning only while nobody else can post into the topic. With the roster of its group.
LOCKED_TOPIC = Prepared(
    "topic_to_post_into",
    lambda author, topic: (
        Topic.objects.visible_to(Member(pk=author))
        .filter(pk=topic)
        .select_for_update(of=("self",), no_key=True)
        .values_list("group__roster", *columns(Topic))
    ),
    "bigint",
    "bigint",
)


def _lock(topic_pk: int, author: Member) -> tuple[Topic, int]:
    """The topic, which nobody else posts into until the transaction ends, and the roster of its group, held as well."""
    for roster, *values in LOCKED_TOPIC.after(HELD_GROUP, (topic_pk,), author.pk, topic_pk):
        return instance(Topic, values), roster
    raise Topic.DoesNotExist


def write_message(
    topic: Topic, author: Member, body: Body, client_id: UUID, posted_at: datetime, roster: int
) -> Posted:
    """The next message of a topic, with its decision as of `posted_at`.

    The caller holds the topic's row and the group's roster.
    """
    decision = decide(topic, posted_at)
    topic.last_sequence += 1
    topic.revision += 1
    topic.last_activity_at = posted_at
    message = Message(
        tenancy_id=topic.tenancy_id,
        topic=topic,
        sequence=topic.last_sequence,
        author=author,
        client_id=client_id,
        body=body.text,
        body_html=body.html,
        renderer_version=RENDERER_VERSION,
        posted_at=posted_at,
        roster=roster,
        revision=topic.revision,
        outcome=decision.outcome,
        reason=decision.reason,
        interval_minutes=decision.interval_minutes,
        elapsed=decision.elapsed,
    )
    previous = _store(message)
    save_mentions(message, body.mentioned)
    return Posted(message, previous, is_new=True)


# All columns but the key, which the database gives, in the order of the table.
_COLUMNS = [field for field in Message._meta.concrete_fields if not field.primary_key]
_TYPES = [str(field.db_type(connection)) for field in _COLUMNS]
_PLACE = {field.name: f"${number}" for number, field in enumerate(_COLUMNS, 1)}
_OF_PREVIOUS = "(SELECT {} FROM messenger_message WHERE topic_id = {topic} AND sequence = {sequence} - 1)"

# The topic, its message, and that its author has read it where nothing before it was unread to them: one statement, for
# each by itself would be another way to the database and back for every post.
_STORED = PreparedSql(
    "stored_message",
    "WITH topic AS ("  # noqa: S608  (columns and places)
    "UPDATE messenger_topic SET last_sequence = {sequence}, revision = {revision}, last_activity_at = {posted_at} "
    "WHERE id = {topic}), "
    "own AS (UPDATE messenger_readposition SET sequence = {sequence} "
    "WHERE member_id = {author} AND topic_id = {topic} AND sequence = {sequence} - 1) "
    "INSERT INTO messenger_message ({columns}) VALUES ({values}) "
    "RETURNING id, {previous_author}, {previous_posted_at}".format(
        previous_author=_OF_PREVIOUS.format("author_id", **_PLACE),
        previous_posted_at=_OF_PREVIOUS.format("posted_at", **_PLACE),
        columns=", ".join(str(field.column) for field in _COLUMNS),
        values=", ".join(_PLACE.values()),
        **_PLACE,
    ),
    *_TYPES,
)


def _store(message: Message) -> Previous | None:
    """Write it, with what its topic says of its latest one; answers with the message before."""
    ((message.pk, author, posted_at),) = _STORED(*(getattr(message, field.attname) for field in _COLUMNS))
    message._state.adding, message._state.db = False, connection.alias
    return Previous(author, posted_at) if author else None


def example_message(topic: Topic, author: Member, body: str) -> Message:
    """A message as it would be, to show what it would look like; it is never written."""
    prepared = prepare(body)
    return Message(
        pk=0, topic=topic, author=author, body=prepared.text, body_html=prepared.html, posted_at=timezone.now()
    )
