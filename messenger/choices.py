"""What members choose about their own e-mails.

Each choice counts for what is posted from then on, and for mails that still wait: what was posted before is
decided first, as it was promised then.
"""

from django.db import transaction

from messenger.live import touch_forecasts
from messenger.models import Delivery, MailChoice, Message, MessengerGroup, Topic, TopicMute
from messenger.withdrawals import cancel, write_deliveries, write_deliveries_of
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


@transaction.atomic
def save_choice(choice: MailChoice) -> None:
    write_deliveries_of(choice.member)
    choice.save()
    if not choice.own_messages:
        cancel(Delivery.objects.filter(member=choice.member, message__author=choice.member), Delivery.Reason.AUTHOR)
