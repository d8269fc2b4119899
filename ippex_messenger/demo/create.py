"""Creates the demo tenancies. A tenancy is created completely, or skipped if it exists.

Each message goes through `write_message`, dated as the dialogue says, so that it has the decision that the product
would have made. Its deliveries are marked as sent; no mail goes out.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from accounts.users import add_user
from ippex_messenger.demo.dialogue import GROUPS, DemoGroup, DemoTopic, Line
from ippex_messenger.demo.people import PASSWORD, PEOPLE, TENANCIES
from messenger.groups.services import save_group
from messenger.markup.markdown import prepare
from messenger.messages.posting import write_message
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications.delivery import outbox
from messenger.reading.positions import mark_read
from tenancy.models import Member, Tenancy

# How long ago the members joined their groups: before the first message.
GROUP_AGE = timedelta(days=40)
# The number of messages in the first topic of each group that only their authors have read.
UNREAD_MESSAGES = 2


def create_demo() -> None:
    for slug, name in TENANCIES.items():
        if not Tenancy.objects.filter(slug=slug).exists():
            _create_tenancy(slug, name)


@transaction.atomic
def _create_tenancy(slug: str, name: str) -> None:
    tenancy = Tenancy.objects.create(slug=slug, name=name, messenger_enabled=True)
    hashed_password = make_password(PASSWORD)  # only once: hashing is slow on purpose
    members = {
        person.key: Member.objects.create(
            tenancy=tenancy,
            user=add_user(person.email, hashed_password, time_zone=person.time_zone),
            name=person.name,
            **person.roles,
        )
        for person in PEOPLE
        if person.tenancy == slug
    }
    for group in GROUPS:
        if group.tenancy == slug:
            _create_group(tenancy, group, members)


def _create_group(tenancy: Tenancy, demo: DemoGroup, members: Mapping[str, Member]) -> None:
    group = MessengerGroup(tenancy=tenancy, name=demo.name, description=demo.description)
    save_group(group, [members[key] for key in demo.members])
    GroupMembership.objects.filter(group=group).update(joined_at=F("joined_at") - GROUP_AGE)
    topics = [_create_topic(group, topic, members) for topic in demo.topics]
    for topic in topics:
        _mark_read(topic, [members[key] for key in demo.members], UNREAD_MESSAGES if topic == topics[0] else 0)


def _create_topic(group: MessengerGroup, demo: DemoTopic, members: Mapping[str, Member]) -> Topic:
    topic = Topic.objects.create(
        tenancy=group.tenancy,
        group=group,
        name=demo.name,
        notifications_enabled=demo.notifications,
        notification_interval=demo.interval,
    )
    for line in demo.lines:
        _post(topic, line, members)
    if not demo.is_active:
        topic.is_active = False
        topic.save(update_fields=["is_active"])
    return topic


def _mark_read(topic: Topic, readers: Iterable[Member], unread: int) -> None:
    """Mark the topic as read by `readers`, except for its last `unread` messages; authors have read their own."""
    last_own = dict(topic.messages.order_by().values_list("author").annotate(Max("sequence")))
    for reader in readers:
        mark_read(topic, reader, max(topic.last_sequence - unread, last_own.get(reader.pk, 0)))


def _post(topic: Topic, line: Line, members: Mapping[str, Member]) -> None:
    days_ago, time_of_day, author, text = line
    day = timezone.now().date() - timedelta(days=days_ago)
    posted_at = datetime.combine(day, time.fromisoformat(time_of_day), tzinfo=timezone.get_default_timezone())
    message = write_message(topic, members[author], prepare(text), uuid4(), posted_at, topic.group.roster).message
    outbox.fan_out(message.pk)
    Delivery.objects.filter(message=message, state=Delivery.State.WAITING).update(
        state=Delivery.State.SENT, settled_at=posted_at
    )
    Message.objects.filter(pk=message.pk, outcome=Message.Outcome.EMAIL).update(fanned_out_at=posted_at)
