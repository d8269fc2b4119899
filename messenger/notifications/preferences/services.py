"""Members' preferences about their own e-mails.

A change takes effect with the next message, and an opt-out also cancels pending mails. The deliveries of earlier
messages are written first, by the preferences at the time of posting.
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
    """Stop or resume e-mails about the topic to this member; repeating it is harmless."""
    fan_out_pending(MessengerGroup.objects.filter(pk=topic.group_id), Message.objects.filter(topic=topic))
    if muted:
        TopicMute.objects.get_or_create(tenancy_id=topic.tenancy_id, topic=topic, member=member)
        cancel(Delivery.objects.filter(member=member, message__topic=topic), Delivery.Reason.MUTED)
    else:
        TopicMute.objects.filter(topic=topic, member=member).delete()
    bump_audience_revision(Topic.objects.filter(pk=topic.pk))


def preference_of(member: Member) -> MailPreference:
    """The member's stored preference, or an unsaved one with the defaults."""
    return MailPreference.objects.filter(member=member).first() or MailPreference(member=member)


@transaction.atomic
def save_preference(preference: MailPreference) -> None:
    """Store the preference, schedule the next catch-up mail, and cancel unwanted pending mails about own messages."""
    # Lock the preference before the groups: a worker that sends a catch-up mail holds it while it waits for the mail
    # server. If we held the groups meanwhile, nobody could post in them.
    before = MailPreference.objects.select_for_update(no_key=True).filter(pk=preference.pk).first()
    fan_out_pending_of(preference.member)
    if before and before.catch_up == preference.catch_up:
        # Today's catch-up mail may still be due; other changes must not postpone it.
        preference.next_catch_up_at, preference.catch_up_attempts = before.next_catch_up_at, before.catch_up_attempts
    else:
        preference.next_catch_up_at, preference.catch_up_attempts = next_catch_up(preference), 0
    preference.save()
    if not preference.own_messages:
        own = Delivery.objects.filter(member=preference.member, message__author=preference.member)
        cancel(own, Delivery.Reason.AUTHOR)


@transaction.atomic
def set_subscribed(
    subscription: MailSubscription, subscribed: bool, frequency: str = MailPreference.CatchUp.DAILY
) -> None:
    """End or resume the mails that an unsubscribe link is about; access to the topic does not change.

    `frequency`, of MailPreference.CatchUp, is how often catch-up mails are sent when they are resumed.
    """
    if subscription.topic:
        set_muted(subscription.topic, subscription.member, not subscribed)
        return
    preference = preference_of(subscription.member)
    if subscribed == (preference.catch_up == MailPreference.CatchUp.NEVER):
        preference.catch_up = frequency if subscribed else MailPreference.CatchUp.NEVER
        save_preference(preference)


def catch_up_frequency_of(subscription: MailSubscription) -> str:
    """How often the member gets catch-up mails, of MailPreference.CatchUp; daily if they get none."""
    catch_up = preference_of(subscription.member).catch_up
    return MailPreference.CatchUp.DAILY if catch_up == MailPreference.CatchUp.NEVER else catch_up
