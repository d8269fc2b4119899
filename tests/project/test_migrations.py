"""Migrations of a database that contains data."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.models import Session as OldSession
from django.db import IntegrityError, connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from django.utils import timezone

from accounts.models import User
from messenger.models import Delivery, Message, MessengerGroup, Topic
from messenger.notifications.catch_up import digest
from messenger.notifications.monitoring.audit import audit
from messenger.search import time_buckets
from tenancy.models import Invitation, Member
from tests.support.cast import Cast, post

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("messenger", "0002_references_within_a_tenancy"), ("tenancy", "0002_references_within_a_tenancy")]


def migrate(targets: list[tuple[str, str]]) -> Any:
    """Migrate to these targets, or to the newest ones. Returns the apps with the models of that state."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())
    return MigrationExecutor(connection).loader.project_state(targets or None).apps


@pytest.fixture
def apps_before() -> Iterator[Any]:
    yield migrate(BEFORE)
    migrate([])


def test_messages_from_before_explained_notifications_pass_the_audit_and_count_as_read(apps_before: Any) -> None:
    def model(app: str, name: str) -> Any:
        return apps_before.get_model(app, name).objects

    now = timezone.now()
    tenancy = model("tenancy", "Tenancy").create(slug="northwind", name="Northwind", messenger_enabled=True)
    group = model("messenger", "MessengerGroup").create(tenancy=tenancy, name="Payroll", roster=1)
    members = [
        model("tenancy", "Member").create(
            tenancy=tenancy, name=name, user=model("accounts", "User").create(email=f"{name}@northwind.example")
        )
        for name in ("alice", "bob", "charlie", "dana")
    ]
    for member in members:
        model("messenger", "GroupMembership").create(
            tenancy=tenancy, group=group, member=member, joined_at=now, joined_roster=1
        )
    topic = model("messenger", "Topic").create(
        tenancy=tenancy, group=group, name="Payments", last_sequence=1, revision=1, last_activity_at=now
    )
    message = model("messenger", "Message").create(
        tenancy=tenancy,
        topic=topic,
        sequence=1,
        author=members[0],
        client_id=uuid4(),
        body="Hello",
        body_html="Hello",
        renderer_version=1,
        posted_at=now,
        roster=1,
        revision=1,
        outcome="email",
        interval_minutes=30,
        fanned_out_at=now,
    )
    outcomes = [("not_sent", "author"), ("sent", ""), ("failed", "refused"), ("not_sent", "lost_access")]
    for member, (state, reason) in zip(members, outcomes, strict=True):
        model("messenger", "Delivery").create(
            tenancy=tenancy, message=message, member=member, state=state, reason=reason, settled_at=now,
            next_attempt_at=now,
        )  # fmt: skip
    migrate([])
    assert Delivery.objects.count() == 4, "or the test proves nothing"
    assert audit() == []
    assert Message.objects.get().addressees == 3
    bob, charlie = (Member.objects.get(pk=member.pk) for member in members[1:3])
    assert [digest.unread_topics_of(member) for member in (bob, charlie)] == [[], []]
    post(Topic.objects.get(), bob)
    assert [topic.messages for topic in digest.unread_topics_of(charlie)] == [1], "new messages count as unread"


@pytest.fixture
def before_sessions_had_users(transactional_db: None) -> Iterator[None]:
    migrate([("accounts", "0001_initial")])
    yield
    migrate([])


def test_sessions_from_before_they_had_users_stay_signed_in(before_sessions_had_users: None) -> None:
    user = User.objects.create(email="bob@northwind.example", password="!")
    signed_in = {SESSION_KEY: str(user.pk), BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0]}
    old = DatabaseStore()
    old.update(signed_in | {HASH_SESSION_KEY: user.get_session_auth_hash()})
    old.save()
    migrate([])
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = old.session_key or ""
    assert client.get("/accounts/profile/").status_code == 200
    assert not OldSession.objects.exists()


@pytest.fixture
def message_before_buckets(cast: Cast) -> Iterator[Message]:
    message = post(cast.payments, cast.alice, "wages")
    migrate([("messenger", "0009_indexes_that_serve_an_order")])
    yield message
    migrate([])


def test_messages_from_before_time_buckets_are_indexed(cast: Cast, message_before_buckets: Message) -> None:
    migrate([])
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        found = (
            "SELECT id FROM messenger_message WHERE search @@ 'wages'"  # noqa: S608  (a constant of ours)
            f" AND {time_buckets.BUCKETS} && %s::bigint[] AND {time_buckets.BUCKETS} && %s::bigint[]"
        )
        values = [time_buckets.of_topics([cast.payments.pk]), time_buckets.of_tenancy(cast.northwind.pk)]
        cursor.execute(f"EXPLAIN {found}", values)
        assert "message_search" in str(cursor.fetchall())
        cursor.execute(found, values)
        assert cursor.fetchall() == [(message_before_buckets.pk,)]
        cursor.execute("RESET enable_seqscan")


@pytest.fixture
def before_names_were_compared() -> Iterator[Any]:
    yield migrate(
        [
            ("account", "0009_emailaddress_unique_primary_email"),
            ("accounts", "0004_appearance_labels"),
            ("tenancy", "0006_labels_in_plain_words"),
            ("messenger", "0015_labels_in_plain_words"),
        ]
    )
    migrate([])


def test_domains_are_converted_and_pairs_are_reported_and_stay(
    before_names_were_compared: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(email: str) -> Any:
        user = before_names_were_compared.get_model("accounts", "User").objects.create(email=email)
        before_names_were_compared.get_model("account", "EmailAddress").objects.create(user=user, email=email)
        return user

    alone, ascii_one, same_one = map(add, ("a@müller.example", "b@xn--mller-kva.example", "b@müller.example"))
    old = before_names_were_compared.get_model
    tenancy = old("tenancy", "Tenancy").objects.create(slug="northwind", name="Northwind")
    member = old("tenancy", "Member").objects.create(tenancy=tenancy, user=alone, name="Anna")
    for email in ("c@müller.example", "d@müller.example", "d@xn--mller-kva.example"):
        old("tenancy", "Invitation").objects.create(tenancy=tenancy, email=email, name="Ivan", invited_by=member)
    migrate([])
    for model in (User, EmailAddress):
        assert list(model.objects.order_by("pk").values_list("email", flat=True)) == [
            "a@xn--mller-kva.example",
            "b@xn--mller-kva.example",
            "b@müller.example",
        ]
    assert User.objects.with_address("a@müller.example").get().pk == alone.pk
    assert User.objects.with_address("b@müller.example").get().pk == ascii_one.pk != same_one.pk
    assert list(Invitation.objects.order_by("pk").values_list("email", flat=True)) == [
        "c@xn--mller-kva.example",
        "d@müller.example",
        "d@xn--mller-kva.example",
    ]
    reported = capsys.readouterr().err
    assert "b@müller.example was not changed" in reported
    assert "d@müller.example was not changed" in reported
    assert "a@" not in reported


def test_names_that_look_the_same_are_reported_and_stay_and_no_more_are_accepted(
    before_names_were_compared: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    old = before_names_were_compared.get_model
    tenancy = old("tenancy", "Tenancy").objects.create(slug="northwind", name="Northwind")
    groups = [
        old("messenger", "MessengerGroup").objects.create(tenancy=tenancy, name=name)
        for name in ("Payroll", "Pay\u200droll", "Benefits")
    ]
    for name in ("Dvořák", "Dvořák\u3164", "Dvorak"):
        old("messenger", "Topic").objects.create(tenancy=tenancy, group=groups[0], name=name)
    migrate([])
    assert list(MessengerGroup.objects.order_by("pk").values_list("name", "folded_name", "skeleton")) == [
        ("Payroll", "payroll", "payroll"),
        ("Pay\u200droll", "payroll", "payroll"),
        ("Benefits", "benefits", "benefits"),
    ]
    assert list(Topic.objects.order_by("pk").values_list("name", "folded_name", "skeleton")) == [
        ("Dvořák", "dvorak", "dvořák"),
        ("Dvořák\u3164", "dvorak", "dvořák"),
        ("Dvorak", "dvorak", "dvorak"),
    ]
    reported = capsys.readouterr().err
    assert "'Pay\\u200droll'. It was not changed" in reported
    assert "\\u3164'. It was not changed" in reported
    assert "Benefits" not in reported
    for name in ("Payroll\u2800", "BENEFITS"):
        with pytest.raises(IntegrityError, match="group_name_unique_in_tenancy"):
            MessengerGroup.objects.create(tenancy_id=tenancy.pk, name=name)
    with pytest.raises(IntegrityError, match="topic_name_unique_in_group"):
        Topic.objects.create(tenancy_id=tenancy.pk, group_id=groups[0].pk, name="DVOŘÁK")
