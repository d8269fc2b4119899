"""Editing and removing what one wrote. Neither moves the notification clock, and neither e-mails anything."""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from messenger import events
from messenger.markup.markdown import RENDERER_VERSION, clean_body, render
from messenger.messages.mentioning import people_in, replace_mentions
from messenger.messages.posting import HELD_GROUP
from messenger.models import Delivery, Message, MessageVersion, MessengerGroup, Topic
from messenger.notifications.delivery.cancellation import cancel, fan_out_pending
from tenancy.models import Member


class TooLateError(Exception):
    """The time in which the author could edit the message is over, or it was removed."""


class NotYoursError(Exception):
    """Another's message: only its author edits it, and only they or an administrator in the group remove it."""


def may_edit(message: Message, member: Member, now: datetime) -> bool:
    """Whether this reader of the topic may edit the message now: its author, for the tenancy's number of minutes."""
    minutes = member.tenancy.edit_minutes
    return (
        message.author_id == member.pk
        and message.removed_at is None
        and now - message.posted_at < timedelta(minutes=minutes)
    )


def may_remove(message: Message, member: Member) -> bool:
    """Whether this reader of the topic may remove the message: its author, or an administrator."""
    return message.removed_at is None and (message.author_id == member.pk or member.is_administrator)


@transaction.atomic
def edit_message(topic_pk: int, sequence: int, member: Member, body: str) -> Message:
    """Give a message another text; what it said stays readable. The same text again changes nothing.

    Raises Message.DoesNotExist where the member may not read it, NotYoursError, TooLateError, and ValidationError for
    a text that won't do.
    """
    text = clean_body(body)
    message, topic = _hold(topic_pk, sequence, member)
    now = timezone.now()
    if message.author_id != member.pk:
        raise NotYoursError
    if not may_edit(message, member, now):
        raise TooLateError
    if text == message.body:
        return message
    prepared = render(text, people_in(topic_pk, text))
    MessageVersion.objects.create(
        tenancy_id=message.tenancy_id,
        message=message,
        body=message.body,
        body_html=message.body_html,
        written_at=message.edited_at or message.posted_at,
        replaced_at=now,
    )
    message.body, message.body_html = prepared.text, prepared.html
    message.renderer_version = RENDERER_VERSION
    message.edited_at = now
    _save(message, topic, ["body", "body_html", "renderer_version", "edited_at"])
    replace_mentions(message, prepared.mentioned)
    return message


@transaction.atomic
def remove_message(topic_pk: int, sequence: int, member: Member, reason: str = "") -> Message:
    """Take a message's text away, what it said before too, and cancel its mails that were not sent yet.

    Removing again changes nothing. Raises Message.DoesNotExist and NotYoursError as edit_message does.
    """
    group = MessengerGroup.objects.filter(topics=topic_pk)
    # Before the topic is locked: the group comes first.
    fan_out_pending(group, Message.objects.filter(topic=topic_pk, sequence=sequence))
    message, topic = _hold(topic_pk, sequence, member)
    if message.removed_at:
        return message
    if not may_remove(message, member):
        raise NotYoursError
    message.versions.all().delete()
    message.body = message.body_html = ""
    message.removed_at, message.removed_by, message.removal_reason = timezone.now(), member, reason
    _save(message, topic, ["body", "body_html", "removed_at", "removed_by", "removal_reason"])
    replace_mentions(message, [])
    cancel(Delivery.objects.filter(message=message), Delivery.Reason.REMOVED)
    return message


def _hold(topic_pk: int, sequence: int, member: Member) -> tuple[Message, Topic]:
    # As for a post: who leaves the group has left it before or after, and the group is locked before topic and message.
    HELD_GROUP(topic_pk)
    topic = Topic.objects.visible_to(member).select_for_update(of=("self",), no_key=True).filter(pk=topic_pk).first()
    if topic is None:
        raise Message.DoesNotExist
    message = Message.objects.select_for_update(no_key=True).get(topic=topic, sequence=sequence)
    message.topic = topic
    return message, topic


def _save(message: Message, topic: Topic, columns: list[str]) -> None:
    topic.revision += 1
    topic.save(update_fields=["revision"])
    message.revision = topic.revision
    message.save(update_fields=[*columns, "revision"])
    events.publish_after_commit(topic)
