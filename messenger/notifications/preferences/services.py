"""What members choose about their own e-mails.

Each choice counts for what is posted from then on, and for mails that still wait: what was posted before is
decided first, as it was promised then.
"""

from django.db import transaction

from messenger.events import touch_forecasts
from messenger.models import Delivery, MailChoice, Message, MessengerGroup, Topic, TopicMute
from messenger.notifications.catch_up.schedule import next_catch_up
from messenger.notifications.delivery.cancellation import cancel, write_deliveries, write_deliveries_of
from messenger.notifications.delivery.unsubscribe_links import Subscription
from tenancy.models import Member


@transaction.atomic
def set_muted(topic: Topic, member: Member, muted: bool) -> None:
    """No e-mails about this topic to this member any more, or again; the same choice again is harmless."""
    write_deliveries(MessengerGroup.objects.filter(pk=topic.group_id), Message.objects.filter(topic=topic))
    if muted:
        TopicMute.objects.get_or_create(tenancy_id=topic.tenancy_id, topic=topic, member=member)
        cancel(Delivery.objects.filter(member=member, message__topic=topic), Delivery.Reason.MUTED)
    else:
        TopicMute.objects.filter(topic=topic, member=member).delete()
    touch_forecasts(Topic.objects.filter(pk=topic.pk))


def choice_of(member: Member) -> MailChoice:
    """What this member chose; the usual, not stored, where they chose nothing."""
    return MailChoice.objects.filter(member=member).first() or MailChoice(member=member)


@transaction.atomic
def save_choice(choice: MailChoice) -> None:
    # The choice before the groups: who sends a catch-up mail holds it for as long as the mail server takes, and
    # nobody could post into groups that are held by somebody who waits for it.
    before = MailChoice.objects.select_for_update(no_key=True).filter(pk=choice.pk).first()
    write_deliveries_of(choice.member)
    if before and before.catch_up == choice.catch_up:
        # Today's may still be due, and other choices do not put it off.
        choice.next_catch_up_at, choice.catch_up_attempts = before.next_catch_up_at, before.catch_up_attempts
    else:
        choice.next_catch_up_at, choice.catch_up_attempts = next_catch_up(choice), 0
    choice.save()
    if not choice.own_messages:
        cancel(Delivery.objects.filter(member=choice.member, message__author=choice.member), Delivery.Reason.AUTHOR)


@transaction.atomic
def set_subscribed(subscription: Subscription, subscribed: bool, rhythm: str = MailChoice.CatchUp.DAILY) -> None:
    """End the mails that a mailed link is about, or have them again; who may read the topic is another matter.

    `rhythm` is how often catch-up mails come again: of MailChoice.CatchUp.
    """
    if subscription.topic:
        set_muted(subscription.topic, subscription.member, not subscribed)
        return
    choice = choice_of(subscription.member)
    if subscribed == (choice.catch_up == MailChoice.CatchUp.NEVER):
        choice.catch_up = rhythm if subscribed else MailChoice.CatchUp.NEVER
        save_choice(choice)


def rhythm_of(subscription: Subscription) -> str:
    """How often the catch-up mails come that a mailed link is about; the usual, where there are none."""
    catch_up = choice_of(subscription.member).catch_up
    return MailChoice.CatchUp.DAILY if catch_up == MailChoice.CatchUp.NEVER else catch_up
