"""A stage for requesting every route as every role: the cast, people who have lost their access, and canaries.

A canary is a word in exactly one row of the database. CANARIES lists the roles that may ever read it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

from allauth.account.models import EmailAddress
from django.apps import apps
from django.db import connection, transaction
from django.db.models import Model
from django.test import Client
from django.test.client import ClientHandler
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from accounts.models import Session, User
from messenger.groups.services import save_group
from messenger.messages.editing import edit_message
from messenger.models import MessengerGroup, ReadPosition, Topic
from messenger.notifications.delivery.unsubscribe_links import unsubscribe_link
from tenancy.invitations import link_of
from tenancy.models import Invitation, Member
from tests.support.cast import PASSWORD, Cast, assemble, make_group, make_member, make_topic, post

ROLES = (
    "stranger",  # not signed in
    "erin",  # in another tenancy, where she has every role
    "charlie",  # in the tenancy, in no group
    "bob",  # in the group
    "alice",  # in the group, and manager
    "mallory",  # manager, in another group
    "dana",  # administrator, in no group
    "frank",  # deactivated in the tenancy, but still in the group
    "grace",  # removed from the group
    "heidi",  # in the group, but her user account was deactivated
)

# The class of the test client's responses has no public name.
Response = Any

UNUSED_ID = 10**15  # the id of no row in any table
NEW_PASSWORD = "staple horse correct 7"

CANARIES: dict[str, set[str]] = {
    "canary-aurora-tenancy": {"erin"},
    "canary-aurora-group": {"erin"},
    "canary-aurora-description": {"erin"},
    "canary-aurora-topic": {"erin"},
    "canary-aurora-message": {"erin"},
    "canary-aurora-person": {"erin"},
    "canary-aurora-address": {"erin"},
    "canary-aurora-invited": {"erin"},
    "canary-northwind-tenancy": {"charlie", "bob", "alice", "mallory", "dana", "grace"},
    "canary-northwind-invited": {"dana"},
    "canary-payroll-group": {"bob", "alice", "dana"},
    "canary-payroll-description": {"bob", "alice", "dana"},
    "canary-payroll-topic": {"bob", "alice"},
    "canary-payroll-message": {"bob", "alice"},
    "canary-bob-name": {"bob", "alice", "dana"},
    "canary-bob-address": {"bob", "dana"},
    "canary-inactive-topic": {"alice"},
    "canary-inactive-message": set(),
    "canary-benefits-group": {"mallory", "dana"},
    "canary-benefits-topic": {"mallory"},
    "canary-benefits-message": {"mallory"},
    "canary-closed-group": {"dana"},
    "canary-closed-topic": set(),
    "canary-closed-message": set(),
}


@cache
def _handler() -> ClientHandler:
    """Shared by all clients: each new handler would search all static files."""
    return ClientHandler(enforce_csrf_checks=False)


@dataclass
class Stage:
    cast: Cast
    frank: Member
    grace: Member
    heidi: Member
    inactive: Topic  # in payroll
    closed: MessengerGroup  # inactive; Alice and Bob are in it
    closed_topic: Topic
    invited: Invitation  # to Northwind, for an address without a user
    invited_abroad: Invitation  # to Aurora
    clients: dict[str, Client] = field(default_factory=dict)  # by role, reused for many requests

    def member(self, role: str) -> Member:
        return getattr(self, role, None) or getattr(self.cast, role)

    def client(self, role: str) -> Client:
        client = Client(raise_request_exception=False)
        client.handler = _handler()
        if role != "stranger":
            client.force_login(self.member(role).user)
        return client

    def pk_in(self, route: str) -> int:
        """The id in the path of a route: of the row that Bob's group may see, or of Bob, or of the invitation."""
        if route == "tenancy:user":
            return self.cast.bob.pk
        if route.startswith("tenancy:"):
            return self.invited.pk
        return self.cast.payroll.pk if route.startswith("messenger_users:") else self.cast.payments.pk

    def foreign_pk_in(self, route: str) -> int:
        """The id of the corresponding row in the other tenancy."""
        if route == "tenancy:user":
            return self.cast.erin.pk
        if route.startswith("tenancy:"):
            return self.invited_abroad.pk
        return self.cast.foreign.pk if route.startswith("messenger_users:") else self.cast.secrets.pk

    def path(self, route: str, pk: int | None = None, slug: str = "northwind") -> str:
        arguments: dict[str, Any] = {}
        wanted = parameters_of(ROUTES[route])
        if "tenancy_slug" in wanted:
            arguments["tenancy_slug"] = slug
        if "pk" in wanted:
            arguments["pk"] = pk or self.pk_in(route)
        if "sequence" in wanted:
            arguments["sequence"] = 1
        if "uidb36" in wanted:
            arguments |= {"uidb36": "1", "key": "c0ffee-c0ffee"}
        elif route == "unsubscribe":
            link = unsubscribe_link(self.cast.bob, self.cast.payments)
            arguments["key"] = link.rstrip("/").rpartition("/")[2]
        elif "key" in wanted:
            arguments["key"] = link_of(self.invited).rstrip("/").rpartition("/")[2]
        return reverse(route, kwargs=arguments)

    def form(self, route: str) -> dict[str, Any]:
        """Valid form data for a route, which change something."""
        cast = self.cast
        topic = {
            "name": "Bonuses",
            "notifications_enabled": "on",
            "notification_interval_0": "2",
            "notification_interval_1": "hours",
            "is_active": "on",
        }
        group = {"name": "Auditors", "description": "Who look", "is_active": "on"}
        password = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
        forms: dict[str, dict[str, Any]] = {
            "account_login": {"login": cast.bob.user.email, "password": PASSWORD},
            "account_change_password": {"oldpassword": PASSWORD, **password},
            "account_reset_password": {"email": cast.bob.user.email},
            "account_reset_password_from_key": password,
            "profile": {"time_zone": "Asia/Tokyo", "language": "en", "appearance": "dark"},
            "invitation": {**password, "time_zone": "Asia/Tokyo"},
            "tenancy:features": {},  # an empty check box: off
            "tenancy:invite": {"name": "Ivan", "email": "ivan@example.com"},
            "tenancy:user": {"name": "Robert", "is_active": "on", "is_messenger_manager": "on"},
            "messenger:topic_new": {**topic, "group": str(cast.payroll.pk)},
            "messenger:topic_edit": topic,
            "messenger:messages": {"body": "Hello", "client_id": str(uuid4())},
            "messenger:preview": {"body": "Hello @Alice Almeida", "client_id": str(uuid4())},
            "messenger:preferences": {"own_messages": "on", "catch_up": "daily"},
            "messenger:mute": {"muted": "1"},
            "messenger:message_edit": {"body": "Edited"},
            "messenger:message_remove": {"reason": "By mistake"},
            "messenger:read": {"up_to": "1"},
            "messenger:unread": {"sequence": "1"},
            "tenancy:messages": {"edit_minutes": "60"},
            "tenancy:notifications": {"mail_detail": "full_text"},
            "messenger_users:group_new": {**group, "users": [str(cast.charlie.pk)]},
            "messenger_users:group_edit": {
                **group,
                "users": [str(cast.alice.pk), str(cast.bob.pk), str(cast.charlie.pk)],
                "confirmed": "1",
            },
        }
        return forms.get(route, {})


def set_stage() -> Stage:
    cast = assemble()
    _set_columns(cast.aurora, name="canary-aurora-tenancy")
    _set_columns(cast.northwind, name="canary-northwind-tenancy")
    _set_columns(cast.foreign, name="canary-aurora-group", description="canary-aurora-description")
    _set_columns(cast.payroll, name="canary-payroll-group", description="canary-payroll-description")
    _set_columns(cast.benefits, name="canary-benefits-group")
    _set_columns(cast.secrets, name="canary-aurora-topic")
    _set_columns(cast.payments, name="canary-payroll-topic")
    _set_columns(cast.pensions, name="canary-benefits-topic")
    _set_columns(cast.erin, name="canary-aurora-person")
    _set_columns(cast.erin.user, email="canary-aurora-address@aurora.example")
    _set_columns(cast.bob, name="canary-bob-name")
    _set_columns(cast.bob.user, email="canary-bob-address@northwind.example")
    frank = make_member(cast.northwind, "Frank Fischer", is_messenger_manager=True)
    grace = make_member(cast.northwind, "Grace Gomez", is_messenger_manager=True)
    heidi = make_member(cast.northwind, "Heidi Hansen", is_messenger_manager=True)
    save_group(cast.payroll, [cast.alice, cast.bob, frank, grace, heidi])
    inactive = make_topic(cast.payroll, "canary-inactive-topic")
    closed = make_group(cast.northwind, "canary-closed-group", cast.alice, cast.bob)
    closed_topic = make_topic(closed, "canary-closed-topic")
    for topic, author, body in (
        (cast.payments, cast.alice, "canary-payroll-message"),
        (inactive, cast.alice, "canary-inactive-message"),
        (closed_topic, cast.alice, "canary-closed-message"),
        (cast.pensions, cast.mallory, "canary-benefits-message"),
        (cast.secrets, cast.erin, "canary-aurora-message"),
    ):
        post(topic, author, body)
    edit_message(cast.payments.pk, 1, cast.alice, "canary-payroll-message, as it was edited")
    save_group(cast.payroll, [cast.alice, cast.bob, frank, heidi])
    _set_columns(inactive, is_active=False)
    _set_columns(closed, is_active=False)
    _set_columns(frank, is_active=False)
    _set_columns(heidi.user, is_active=False)
    invited = Invitation.objects.create(
        tenancy=cast.northwind,
        invited_by=cast.dana,
        name="canary-northwind-invited",
        email="canary-northwind-invited@example.com",
    )
    invited_abroad = Invitation.objects.create(
        tenancy=cast.aurora,
        invited_by=cast.erin,
        name="canary-aurora-invited",
        email="canary-aurora-invited@example.com",
    )
    stage = Stage(cast, frank, grace, heidi, inactive, closed, closed_topic, invited, invited_abroad)
    prove(stage)
    return stage


def prove(stage: Stage) -> None:
    """Check in the database that each role is what ROLES says, or the tests prove nothing."""
    cast = stage.cast
    topic = Topic.objects.get(pk=cast.payments.pk)
    readers = set(topic.readers())
    assert readers == {cast.alice, cast.bob}
    for role in ROLES[2:]:
        assert stage.member(role).tenancy == topic.group.tenancy, f"{role} belongs to the same client"
    assert cast.erin.tenancy != topic.group.tenancy
    assert not Member.objects.filter(tenancy=topic.tenancy, user=cast.erin.user).exists()
    assert cast.erin.is_administrator, "she does not lack a role"
    assert cast.erin.is_messenger_manager, "she does not lack a role"
    assert set(cast.pensions.readers()) == {cast.mallory}
    assert cast.mallory.is_messenger_manager
    assert cast.dana.is_administrator
    assert not cast.dana.group_memberships.exists()
    open_memberships = topic.group.memberships.filter(left_at=None).values_list("member", flat=True)
    assert {stage.frank.pk, stage.heidi.pk} <= set(open_memberships), "only their status keeps them out"
    assert not Member.objects.get(pk=stage.frank.pk).is_active
    assert not User.objects.get(pk=stage.heidi.user_id).is_active
    assert stage.grace.group_memberships.exclude(left_at=None).filter(group=topic.group).exists()
    assert stage.grace.pk not in set(open_memberships)


def _set_columns(row: Model, **columns: Any) -> None:
    """Set columns, in the database and in the object."""
    type(row)._default_manager.filter(pk=row.pk).update(**columns)
    for name, value in columns.items():
        setattr(row, name, value)


# -- Routes ----------------------------------------------------------------------------------------------


def _routes(patterns: list[Any], prefix: str = "", namespace: str = "") -> Iterator[tuple[str, Any]]:
    """Every route below `patterns`, as its name and its whole pattern."""
    for pattern in patterns:
        text = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from _routes(pattern.url_patterns, text, inner)
        elif isinstance(pattern, URLPattern):
            yield (f"{namespace}{pattern.name}" if pattern.name else f"nameless {text}"), text


ROUTES: dict[str, str] = dict(_routes(get_resolver().url_patterns))
ROUTE_COUNT = len(list(_routes(get_resolver().url_patterns)))


def parameters_of(pattern: str) -> set[str]:
    names = ("tenancy_slug", "pk", "sequence", "uidb36", "key")
    return {name for name in names if f":{name}>" in pattern or f"?P<{name}>" in pattern}


# -- The database ------------------------------------------------------------------------------------------


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back everything that is written inside the block."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def tables() -> list[type[Model]]:
    """The product's models except Session: signing in writes one, whatever page it leads to."""
    models = [
        model for label in ("accounts", "tenancy", "messenger") for model in apps.get_app_config(label).get_models()
    ]
    return [*(model for model in models if model is not Session), EmailAddress]


def snapshot(*, with_read_positions: bool = False) -> list[Any]:
    """A fingerprint of every table of the product, without last sign-ins and (unless asked for) read positions."""
    statement = " UNION ALL ".join(
        f"SELECT '{name}', md5(string_agg(row, '|' ORDER BY row)) "  # noqa: S608  (names of our own tables)
        f"FROM (SELECT (to_jsonb(t) - 'last_login')::text AS row FROM {name} t) rows"
        for name in (model._meta.db_table for model in tables() if with_read_positions or model is not ReadPosition)
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return sorted(cursor.fetchall(), key=repr)
