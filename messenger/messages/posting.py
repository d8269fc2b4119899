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

# Until the transaction ends, no one joins or leaves the topic's group, so that it is clear who was a member when a
# message was posted; other posts are not blocked. It is a separate statement, run before access is checked, because a
# query that waits for a lock evaluates other tables as they were before the wait.
HELD_GROUP = PreparedSql(
    "held_group",
    "SELECT id FROM messenger_messengergroup WHERE id = (SELECT group_id FROM messenger_topic WHERE id = $1) FOR SHARE",
    "bigint",
)


class DifferentTextError(Exception):
    """The author already used this client id in this topic, for a different text."""


class Previous(NamedTuple):
    """Author and time of the message before this one."""

    author_id: int
    posted_at: datetime


@dataclass(frozen=True)
class Posted:
    message: Message
    previous: Previous | None  # in the topic; None if this is the first message, or not new
    is_new: bool  # False for a double click or a retry: `message` is the one already stored


def post_message(topic_pk: int, author: Member, body: str, client_id: UUID) -> Posted:
    """Store a message with the decision about e-mail; after the commit, notify the streams and enqueue the e-mails.

    Raises Topic.DoesNotExist if the author may not post in the topic (any more), ValidationError for an invalid text
    (`clean_body`), and DifferentTextError if the client id belongs to a different text.
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
    if message is None:  # the author lost access in the meantime
        raise Topic.DoesNotExist
    if message.body != text:
        raise DifferentTextError
    return Posted(message, previous=None, is_new=False)


def _post(topic_pk: int, author: Member, text: str, client_id: UUID) -> Posted:
    if "@" in text:
        HELD_GROUP(topic_pk)  # only members at the time of posting can be mentioned
    body = render(text, people_in(topic_pk, text))
    topic, roster = _lock(topic_pk, author)
    # Read under the lock, and never before the previous message: the clocks of hosts differ.
    posted_at = timezone.now()
    if topic.last_sequence:
        posted_at = max(posted_at, topic.last_activity_at)
    posted = write_message(topic, author, body, client_id, posted_at, roster)
    message = posted.message
    if message.sequence == 1:  # no earlier message is unread, and there is no position yet that _INSERT could move
        mark_read(topic, author, message.sequence)
    events.publish_after_commit(topic)
    if message.outcome == Message.Outcome.EMAIL:
        enqueue_on_commit("messenger.tasks.notify_members", message.pk)
    return posted


# Locks the topic: only while no one else can post is there exactly one "previous message". Returns the roster, too.
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
    """The topic and the roster number of its group, both locked until the transaction ends."""
    for roster, *values in LOCKED_TOPIC.after(HELD_GROUP, (topic_pk,), author.pk, topic_pk):
        return instance(Topic, values), roster
    raise Topic.DoesNotExist


def write_message(
    topic: Topic, author: Member, body: Body, client_id: UUID, posted_at: datetime, roster: int
) -> Posted:
    """Store the next message of a topic, with the decision about e-mail as of `posted_at`.

    The caller has locked the topic's row and the group; `roster` is the group's current roster number.
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
    previous = _insert(message)
    save_mentions(message, body.mentioned)
    return Posted(message, previous, is_new=True)


# All columns except the primary key, which the database assigns, in table order.
_COLUMNS = [field for field in Message._meta.concrete_fields if not field.primary_key]
_TYPES = [str(field.db_type(connection)) for field in _COLUMNS]
_PARAMETERS = {field.name: f"${number}" for number, field in enumerate(_COLUMNS, 1)}
_PREVIOUS = "(SELECT {} FROM messenger_message WHERE topic_id = {topic} AND sequence = {sequence} - 1)"

# Inserts the message, updates the topic, and marks the message as read by its author unless an earlier one is unread.
# In one statement, because each would cost another round trip to the database for every post.
_INSERT = PreparedSql(
    "stored_message",
    "WITH topic AS ("  # noqa: S608  (columns and parameters)
    "UPDATE messenger_topic SET last_sequence = {sequence}, revision = {revision}, last_activity_at = {posted_at} "
    "WHERE id = {topic}), "
    "own AS (UPDATE messenger_readposition SET sequence = {sequence} "
    "WHERE member_id = {author} AND topic_id = {topic} AND sequence = {sequence} - 1) "
    "INSERT INTO messenger_message ({columns}) VALUES ({values}) "
    "RETURNING id, {previous_author}, {previous_posted_at}".format(
        previous_author=_PREVIOUS.format("author_id", **_PARAMETERS),
        previous_posted_at=_PREVIOUS.format("posted_at", **_PARAMETERS),
        columns=", ".join(str(field.column) for field in _COLUMNS),
        values=", ".join(_PARAMETERS.values()),
        **_PARAMETERS,
    ),
    *_TYPES,
)


def _insert(message: Message) -> Previous | None:
    """Insert the message and update its topic. Returns the message before it, if there is one."""
    ((message.pk, author, posted_at),) = _INSERT(*(getattr(message, field.attname) for field in _COLUMNS))
    message._state.adding, message._state.db = False, connection.alias
    return Previous(author, posted_at) if author else None


def example_message(topic: Topic, author: Member, body: str) -> Message:
    """An unsaved message that shows what a message would look like. It is never stored."""
    prepared = prepare(body)
    return Message(
        pk=0, topic=topic, author=author, body=prepared.text, body_html=prepared.html, posted_at=timezone.now()
    )
