"""What members choose about their own e-mails.

Each choice counts for what is posted from then on, and for mails that still wait: what was posted before is
decided first, as it was promised then.
"""

from django.db import transaction

from messenger.events import bump_audience_revision
from messenger.models import Delivery, MailPreference, Message, MessengerGroup, Topic, TopicMute
from messenger.notifications.catch_up.schedule import next_catch_up
from messenger.notifications.delivery.cancellation import cancel, fan_out_pending, fan_out_pending_of
from messenger.notifications.delivery.unsubscribe_links import MailSubscription
from tenancy.models import Member


@transaction.atomic
def set_muted(topic: Topic, member: Member, muted: bool) -> None:
    """No e-mails about this topic to this member any more, or again; the same choice again is harmless."""
    fan_out_pending(MessengerGroup.objects.filter(pk=topic.group_id), Message.objects.filter(topic=topic))
    if muted:
        TopicMute.objects.get_or_create(tenancy_id=topic.tenancy_id, topic=topic, member=member)
        cancel(Delivery.objects.filter(member=member, message__topic=topic), Delivery.Reason.MUTED)
    else:
        TopicMute.objects.filter(topic=topic, member=member).delete()
    bump_audience_revision(Topic.objects.filter(pk=topic.pk))


def preference_of(member: Member) -> MailPreference:
    """What this member chose; the usual, not stored, where they chose nothing."""
    return MailPreference.objects.filter(member=member).first() or MailPreference(member=member)


@transaction.atomic
def save_preference(choice: MailPreference) -> None:
    # The choice before the groups: who sends a catch-up mail holds it for as long as the mail server takes, and
    # nobody could post into groups that are held by somebody who waits for it.
    before = MailPreference.objects.select_for_update(no_key=True).filter(pk=choice.pk).first()
    fan_out_pending_of(choice.member)
    if before and before.catch_up == choice.catch_up:
        # Today's may still be due, and other choices do not put it off.
        choice.next_catch_up_at, choice.catch_up_attempts = before.next_catch_up_at, before.catch_up_attempts
    else:
        choice.next_catch_up_at, choice.catch_up_attempts = next_catch_up(choice), 0
    choice.save()
    if not choice.own_messages:
        cancel(Delivery.objects.filter(member=choice.member, message__author=choice.member), Delivery.Reason.AUTHOR)


@transaction.atomic
def set_subscribed(
    subscription: MailSubscription, subscribed: bool, rhythm: str = MailPreference.CatchUp.DAILY
) -> None:
    """End the mails that a mailed link is about, or have them again; who may read the topic is another matter.

    `rhythm` is how often catch-up mails come again: of MailPreference.CatchUp.
    """
    if subscription.topic:
        set_muted(subscription.topic, subscription.member, not subscribed)
        return
    choice = preference_of(subscription.member)
    if subscribed == (choice.catch_up == MailPreference.CatchUp.NEVER):
        choice.catch_up = rhythm if subscribed else MailPreference.CatchUp.NEVER
        save_preference(choice)


def rhythm_of(subscription: MailSubscription) -> str:
    """How often the catch-up mails come that a mailed link is about; the usual, where there are none."""
    catch_up = preference_of(subscription.member).catch_up
    return MailPreference.CatchUp.DAILY if catch_up == MailPreference.CatchUp.NEVER else catch_up
