"""Editing and removing messages. Neither restarts the notification interval, and neither sends any e-mail."""

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
    """The author's time for editing the message is over, or it was removed."""


class NotYoursError(Exception):
    """Only the author may edit a message, and only the author or an administrator in the group may remove it."""


def may_edit(message: Message, member: Member, now: datetime) -> bool:
    """Whether this reader of the topic may edit the message at `now`: its author, for the tenancy's `edit_minutes`."""
    minutes = member.tenancy.edit_minutes
    return (
        message.author_id == member.pk
        and message.removed_at is None
        and now - message.posted_at < timedelta(minutes=minutes)
    )


def may_remove(message: Message, member: Member) -> bool:
    """Whether this reader of the topic may remove the message: its author or an administrator."""
    return message.removed_at is None and (message.author_id == member.pk or member.is_administrator)


@transaction.atomic
def edit_message(topic_pk: int, sequence: int, member: Member, body: str) -> Message:
    """Replace the text of a message; the earlier text stays readable. Saving an unchanged text has no effect.

    Raises Message.DoesNotExist if the member may not read the message, NotYoursError, TooLateError, and
    ValidationError for an invalid text (`clean_body`).
    """
    text = clean_body(body)
    message, topic = _lock_message(topic_pk, sequence, member)
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
    """Delete the text of a message and its earlier versions, and cancel its pending e-mails.

    Removing it again has no effect. Raises Message.DoesNotExist and NotYoursError as `edit_message` does.
    """
    group = MessengerGroup.objects.filter(topics=topic_pk)
    # This locks the group, which must happen before the topic is locked.
    fan_out_pending(group, Message.objects.filter(topic=topic_pk, sequence=sequence))
    message, topic = _lock_message(topic_pk, sequence, member)
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


def _lock_message(topic_pk: int, sequence: int, member: Member) -> tuple[Message, Topic]:
    # As for a post: members leave the group before or after this, never during it. The order is group, topic, message.
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
