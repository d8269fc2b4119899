"""Fills the benchmark's database: people and topics through the models, messages and read positions by COPY.

The same shape gives the same data, except that the last message is always from yesterday.
"""

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

from allauth.account.models import EmailAddress
from django.contrib.auth.hashers import make_password
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from bench.bodies import MessageText, bodies
from bench.conversation import INTERVAL, conversation
from bench.copying import NULL, advance_id_sequence, copy, escape, next_id
from bench.shape import Shape
from messenger.markup.markdown import RENDERER_VERSION
from messenger.models import Delivery, GroupMembership, Message, MessengerGroup, ReadPosition, Topic
from tenancy.models import Member, Tenancy

SLUG, CROWD_SLUG = "bench", "crowd"
READER = "reader"  # reader1@bench.example is in the fewest groups, the last reader in all
UNREAD = 30  # topics that the last reader has not finished; below 99, up to which the product counts exactly
UNREAD_MESSAGES = 5  # in each of them; the measured threads are among them

MESSAGE_COLUMNS = (
    "id tenancy_id topic_id sequence author_id client_id body body_html renderer_version posted_at roster revision "
    "outcome reason interval_minutes elapsed removal_reason fanned_out_at addressees"
).split()
DELIVERY_COLUMNS = (
    "tenancy_id message_id member_id state reason attempts next_attempt_at last_error settled_at"
).split()
POSITION_COLUMNS = "tenancy_id topic_id member_id sequence".split()


def fill(shape: Shape) -> bool:
    """Replace everything in the database with data of this shape. Returns False if they are there already."""
    if _filled_with() == shape.name:
        return False
    call_command("flush", interactive=False, verbosity=0)
    with transaction.atomic():
        write(shape)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS bench_shape (name text)")
            cursor.execute("DELETE FROM bench_shape")
            cursor.execute("INSERT INTO bench_shape VALUES (%s)", [shape.name])
    vacuum()
    return True


def vacuum() -> None:
    """Put the tables into the state that autovacuum would reach later, so that figures don't depend on its timing."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _filled_with() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('bench_shape') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return ""
        cursor.execute("SELECT name FROM bench_shape")
        row = cursor.fetchone()
    return row[0] if row else ""


def write(shape: Shape) -> None:
    """Fill an empty database, in the caller's transaction."""
    with connection.cursor() as cursor:
        # Foreign keys are not checked: they are right by construction, and checking two million rows takes minutes.
        cursor.execute("SET LOCAL session_replication_role = replica")
    rng = random.Random(shape.seed)  # noqa: S311  (nothing secret)
    plans = [*_main_tenancy(shape), *_crowds(shape), *_other_tenancies(shape)]
    _write_messages(plans, rng)
    _write_positions(shape)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


# -- People, groups and topics -------------------------------------------------------------------------

JOINED_AT = datetime(2010, 1, 1, tzinfo=UTC)  # before the first message


@dataclass
class Plan:
    """How many messages to write into a topic, and who its members are (ids)."""

    topic: Topic
    length: int
    members: Sequence[int]


def _main_tenancy(shape: Shape) -> list[Plan]:
    tenancy = Tenancy.objects.create(slug=SLUG, name="Bench", messenger_enabled=True)
    members = _members(tenancy, [f"member{number}" for number in range(1, shape.members + 1)])
    readers = _members(tenancy, [f"{READER}{number}" for number in range(1, len(shape.topics) + 1)])
    sizes = _group_sizes(shape)
    groups = _groups(tenancy, [f"Group {number}" for number in range(1, len(sizes) + 1)])
    in_groups: list[list[int]] = []
    number_of_topics = 0
    for number, size in enumerate(sizes):
        number_of_topics += size
        reading = [reader.pk for reader, sum_ in zip(readers, shape.topics, strict=True) if sum_ >= number_of_topics]
        in_groups.append([*reading, *(member.pk for member in members[number :: len(sizes)])])
    _memberships(groups, in_groups)
    topics: list[Topic] = []
    for group, size in zip(groups, sizes, strict=True):
        topics += _topics(group, [f"Topic {len(topics) + number}" for number in range(1, size + 1)])
    measured = [*shape.threads, *[shape.posted_length] * shape.posted]
    each = shape.others // (len(topics) - len(measured))
    lengths = [*measured, *[each] * (len(topics) - len(measured))]
    people = {group.pk: members for group, members in zip(groups, in_groups, strict=True)}
    return [Plan(topic, length, people[topic.group_id]) for topic, length in zip(topics, lengths, strict=True)]


def _group_sizes(shape: Shape) -> list[int]:
    """The number of topics of each group. For each number in `shape.topics`, the first groups add up to exactly it."""
    sizes = []
    for before, after in pairwise((0, *shape.topics)):
        whole, rest = divmod(after - before, shape.topics_of_a_group)
        sizes += [shape.topics_of_a_group] * whole + ([rest] if rest else [])
    return sizes


def _crowds(shape: Shape) -> list[Plan]:
    tenancy = Tenancy.objects.create(slug=CROWD_SLUG, name="Crowd", messenger_enabled=True)
    names = [f"member{number}" for number in range(1, max(shape.crowds) + 1)]
    members = [member.pk for member in _members(tenancy, names)]
    groups = _groups(tenancy, [f"{size} people" for size in shape.crowds])
    _memberships(groups, [members[:size] for size in shape.crowds])
    return [
        # One message only: a whole thread would have millions of deliveries.
        Plan(_topics(group, [f"Among {size}"])[0], 1, members[:size])
        for group, size in zip(groups, shape.crowds, strict=True)
    ]


def _other_tenancies(shape: Shape) -> list[Plan]:
    plans = []
    for number in range(1, shape.tenancies + 1):
        tenancy = Tenancy.objects.create(slug=f"client-{number}", name=f"Client {number}", messenger_enabled=True)
        members = [member.pk for member in _members(tenancy, ["one", "two"])]
        groups = _groups(tenancy, ["Payroll"])
        _memberships(groups, [members])
        plans.append(Plan(_topics(groups[0], ["Payments"])[0], 20, members))
    return plans


def _members(tenancy: Tenancy, names: Sequence[str]) -> list[Member]:
    password = make_password(None)  # unusable: scene.py creates the sessions directly
    emails = [f"{name}@{tenancy.slug}.example" for name in names]
    users = User.objects.bulk_create([User(email=email, password=password) for email in emails])
    EmailAddress.objects.bulk_create(
        [EmailAddress(user=user, email=user.email, primary=True, verified=True) for user in users]
    )
    return Member.objects.bulk_create(
        [Member(tenancy=tenancy, user=user, name=name.capitalize()) for user, name in zip(users, names, strict=True)]
    )


def _groups(tenancy: Tenancy, names: Sequence[str]) -> list[MessengerGroup]:
    return MessengerGroup.objects.bulk_create([MessengerGroup(tenancy=tenancy, name=name) for name in names])


def _memberships(groups: Sequence[MessengerGroup], members: Sequence[Sequence[int]]) -> None:
    GroupMembership.objects.bulk_create(
        [
            GroupMembership(
                tenancy_id=group.tenancy_id, group=group, member_id=pk, joined_at=JOINED_AT, joined_roster=0
            )
            for group, pks in zip(groups, members, strict=True)
            for pk in pks
        ]
    )


def _topics(group: MessengerGroup, names: Sequence[str]) -> list[Topic]:
    return Topic.objects.bulk_create(
        [Topic(tenancy_id=group.tenancy_id, group=group, name=name, notification_interval=INTERVAL) for name in names]
    )


# -- Messages and deliveries ---------------------------------------------------------------------------


def _write_messages(plans: Sequence[Plan], rng: random.Random) -> None:
    texts = [MessageText(escape(body.text), escape(body.html)) for body in bodies(rng)]
    yesterday = datetime.combine(timezone.now().date() - timedelta(days=1), time(18), tzinfo=UTC)
    with tempfile.TemporaryFile("w+") as deliveries:

        def lines(first: int) -> Iterator[str]:
            # The first topics, which are measured, have the latest messages; no two topics end at the same moment.
            for age, plan in enumerate(plans):
                end = int(yesterday.timestamp()) - 60 * age
                yield from _messages_of(plan, first, end, texts, rng, deliveries.write)
                first += plan.length

        copy(Message, MESSAGE_COLUMNS, lines(next_id(Message)))
        deliveries.seek(0)
        copy(Delivery, DELIVERY_COLUMNS, (line.rstrip("\n") for line in deliveries))
    advance_id_sequence(Message)
    Topic.objects.bulk_update(
        [plan.topic for plan in plans], ["last_sequence", "revision", "last_activity_at"], batch_size=1000
    )


def _messages_of(
    plan: Plan, first: int, end: int, texts: Sequence[MessageText], rng: random.Random, deliver: Callable[[str], object]
) -> Iterator[str]:
    topic, members = plan.topic, plan.members
    tenancy = topic.tenancy_id
    for posted in conversation(rng, plan.length, end):
        pk = first + posted.sequence - 1
        author = members[int(rng.random() * len(members))]
        text = texts[int(rng.random() * len(texts))]
        at = datetime.fromtimestamp(posted.at, UTC).isoformat()
        if posted.is_emailed:
            decision, fanned_out = "email\t", f"{at}\t{len(members) - 1}"
            deliver("".join(_delivery(tenancy, pk, member, at, is_author=member == author) for member in members))
        else:
            decision, fanned_out = "no_email\tinterval", f"{NULL}\t{NULL}"
        elapsed = NULL if posted.elapsed is None else f"{posted.elapsed} seconds"
        yield (
            f"{pk}\t{tenancy}\t{topic.pk}\t{posted.sequence}\t{author}\t{rng.getrandbits(128):032x}\t{text.text}\t"
            f"{text.html}\t{RENDERER_VERSION}\t{at}\t0\t{posted.sequence}\t{decision}\t{INTERVAL}\t{elapsed}\t\t"
            f"{fanned_out}"
        )
    topic.last_sequence = topic.revision = plan.length
    topic.last_activity_at = datetime.fromtimestamp(end, UTC)


def _delivery(tenancy: int, message: int, member: int, at: str, *, is_author: bool) -> str:
    if is_author:
        return f"{tenancy}\t{message}\t{member}\tnot_sent\tauthor\t0\t{NULL}\t\t{at}\n"
    return f"{tenancy}\t{message}\t{member}\tsent\t\t0\t{at}\t\t{at}\n"


# -- Read positions ------------------------------------------------------------------------------------


def _write_positions(shape: Shape) -> None:
    """All members have read everything, except for a few messages in each of the latest topics."""
    unread = set(Topic.objects.filter(tenancy__slug=SLUG).order_by("pk").values_list("pk", flat=True)[:UNREAD])
    memberships = GroupMembership.objects.order_by("group__topics", "member").filter(group__topics__isnull=False)
    columns = ("tenancy", "group__topics", "member", "group__topics__last_sequence")
    copy(
        ReadPosition,
        POSITION_COLUMNS,
        (
            f"{tenancy}\t{topic}\t{member}\t{last - UNREAD_MESSAGES if topic in unread else last}"
            for tenancy, topic, member, last in list(memberships.values_list(*columns))  # COPY needs the connection
        ),
    )
