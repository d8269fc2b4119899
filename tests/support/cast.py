"""The people of the tests.

Alice manages topics. Bob is a member. Charlie is in the tenancy but in no group. Dana is an administrator in no group.
Erin belongs to another client, where she has every role. Mallory is a manager in another group of the tenancy.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import User
from messenger.groups.services import save_group
from messenger.messages.posting import post_message
from messenger.models import Message, MessengerGroup, Topic
from tenancy.models import Member, Tenancy

PASSWORD = "correct horse battery"


@dataclass
class Cast:
    northwind: Tenancy
    aurora: Tenancy
    alice: Member
    bob: Member
    charlie: Member
    dana: Member
    mallory: Member
    erin: Member
    payroll: MessengerGroup  # Alice and Bob
    benefits: MessengerGroup  # Mallory
    foreign: MessengerGroup  # Erin, in Aurora
    payments: Topic  # in payroll
    pensions: Topic  # in benefits
    secrets: Topic  # in foreign


def assemble() -> Cast:
    northwind = Tenancy.objects.create(slug="northwind", name="Northwind", messenger_enabled=True)
    aurora = Tenancy.objects.create(slug="aurora", name="Aurora", messenger_enabled=True)
    alice = make_member(northwind, "Alice Almeida", is_messenger_manager=True)
    bob = make_member(northwind, "Bob Brandt")
    charlie = make_member(northwind, "Charlie Chen")
    dana = make_member(northwind, "Dana Dvorak", is_administrator=True)
    mallory = make_member(northwind, "Mallory Marsh", is_messenger_manager=True)
    erin = make_member(aurora, "Erin Eklund", is_administrator=True, is_messenger_manager=True)
    payroll = make_group(northwind, "Payroll", alice, bob)
    benefits = make_group(northwind, "Benefits", mallory)
    foreign = make_group(aurora, "Aurora payroll", erin)
    return Cast(
        northwind=northwind,
        aurora=aurora,
        alice=alice,
        bob=bob,
        charlie=charlie,
        dana=dana,
        mallory=mallory,
        erin=erin,
        payroll=payroll,
        benefits=benefits,
        foreign=foreign,
        payments=make_topic(payroll, "Payments processing"),
        pensions=make_topic(benefits, "Pensions"),
        secrets=make_topic(foreign, "Aurora secrets"),
    )


def make_member(tenancy: Tenancy, name: str, **roles: Any) -> Member:
    email = f"{name.split()[0].lower()}@{tenancy.slug}.example"
    user = User(email=email)
    user.set_password(PASSWORD)
    user.save()
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    return Member.objects.create(tenancy=tenancy, user=user, name=name, **roles)


def make_group(tenancy: Tenancy, name: str, *members: Member, **columns: Any) -> MessengerGroup:
    group = MessengerGroup(tenancy=tenancy, name=name, **columns)
    save_group(group, members)
    return group


def make_topic(group: MessengerGroup, name: str, **columns: Any) -> Topic:
    return Topic.objects.create(tenancy=group.tenancy, group=group, name=name, **columns)


def post(topic: Topic, author: Member, body: str = "Hello") -> Message:
    return post_message(topic.pk, author, body, uuid4()).message


def age(topic: Topic, by: timedelta) -> None:
    """Make everything in a topic older by this time."""
    topic.refresh_from_db()
    Topic.objects.filter(pk=topic.pk).update(last_activity_at=topic.last_activity_at - by)
    for message in topic.messages.all():
        Message.objects.filter(pk=message.pk).update(posted_at=message.posted_at - by)


def sign_in(member: Member) -> Client:
    client = Client()
    client.force_login(member.user)
    return client
