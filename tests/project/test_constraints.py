"""What the database refuses, without any form: each constraint by its name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.utils import timezone

from accounts.models import User
from messenger.groups.services import save_group
from messenger.models import (
    BODY_MAX_LENGTH,
    MINUTES_A_WEEK,
    CatchUp,
    CatchUpTopic,
    Delivery,
    GroupMembership,
    MailPreference,
    Mention,
    Message,
    MessageVersion,
    MessengerGroup,
    ReadPosition,
    Topic,
    TopicMute,
)
from tenancy.models import Invitation, Member, Tenancy
from tests.support.cast import Cast, make_group, make_topic, post

pytestmark = pytest.mark.django_db

Offence = Callable[[Cast], object]  # writes a row that violates a constraint

ONE_ID = uuid4()


def new_message(cast: Cast, **columns: Any) -> Message:
    """A row that is valid except for `columns`."""
    right = {
        "tenancy": cast.northwind,
        "topic": cast.payments,
        "sequence": 1,
        "author": cast.alice,
        "client_id": uuid4(),
        "body": "Hello",
        "body_html": "<p>Hello</p>",
        "renderer_version": 1,
        "posted_at": timezone.now(),
        "roster": 0,
        "revision": 1,
        "outcome": "email",
        "reason": "",
        "interval_minutes": 30,
        "elapsed": None,
    }
    return Message.objects.create(**{**right, **columns})


def new_delivery(cast: Cast, **columns: Any) -> Delivery:
    right = {"tenancy": cast.northwind, "member": cast.bob, "next_attempt_at": timezone.now()}
    message = columns.pop("message", None) or new_message(cast)
    return Delivery.objects.create(message=message, **{**right, **columns})


def new_membership(cast: Cast, **columns: Any) -> GroupMembership:
    right = {
        "tenancy": cast.northwind,
        "group": cast.payroll,
        "member": cast.charlie,
        "joined_at": timezone.now(),
    }
    return GroupMembership.objects.create(**{**right, **columns})


def new_invitation(cast: Cast, **columns: Any) -> Invitation:
    right = {
        "tenancy": cast.northwind,
        "email": "fay@northwind.example",
        "name": "Fay",
        "invited_by": cast.dana,
    }
    return Invitation.objects.create(**{**right, **columns})


def new_mute(cast: Cast, **columns: Any) -> TopicMute:
    right = {"tenancy": cast.northwind, "topic": cast.payments, "member": cast.bob}
    return TopicMute.objects.create(**{**right, **columns})


def new_position(cast: Cast, **columns: Any) -> ReadPosition:
    right = {"tenancy": cast.northwind, "topic": cast.payments, "member": cast.bob}
    return ReadPosition.objects.create(**{**right, **columns})


def new_mention(cast: Cast, **columns: Any) -> Mention:
    right = {"tenancy": cast.northwind, "topic": cast.payments, "sequence": 1, "member": cast.bob}
    if not cast.payments.messages.exists():
        new_message(cast)
    return Mention.objects.create(**{**right, **columns})


def new_catch_up(cast: Cast, **columns: Any) -> CatchUp:
    now = timezone.now()
    right = {"tenancy": cast.northwind, "member": cast.bob, "day": now.date(), "state": "sent", "settled_at": now}
    return CatchUp.objects.create(**{**right, **columns})


def new_catch_up_topic(cast: Cast, **columns: Any) -> CatchUpTopic:
    right = {"tenancy": cast.northwind, "topic": cast.payments, "after_sequence": 0, "up_to_sequence": 1, "messages": 1}
    catch_up = columns.pop("catch_up", None) or new_catch_up(cast)
    return CatchUpTopic.objects.create(catch_up=catch_up, **{**right, **columns})


def twice(make: Callable[..., object], cast: Cast, **columns: Any) -> None:
    make(cast, **columns)
    make(cast, **columns)


FOREIGN_REFERENCES: list[tuple[str, Offence]] = [
    ("membership_group_same_tenancy", lambda cast: new_membership(cast, group=cast.foreign)),
    ("membership_member_same_tenancy", lambda cast: new_membership(cast, member=cast.erin)),
    (
        "topic_group_same_tenancy",
        lambda cast: Topic.objects.create(tenancy=cast.northwind, group=cast.foreign, name="Foreign"),
    ),
    ("message_topic_same_tenancy", lambda cast: new_message(cast, topic=cast.secrets)),
    ("message_topic_same_tenancy", lambda cast: new_message(cast, tenancy_id=4711)),  # this tenancy does not exist
    ("message_author_same_tenancy", lambda cast: new_message(cast, author=cast.erin)),
    (
        "delivery_message_same_tenancy",
        lambda cast: new_delivery(cast, message=post(cast.secrets, cast.erin)),
    ),
    ("delivery_member_same_tenancy", lambda cast: new_delivery(cast, member=cast.erin)),
    ("mute_topic_same_tenancy", lambda cast: new_mute(cast, topic=cast.secrets)),
    ("mute_member_same_tenancy", lambda cast: new_mute(cast, member=cast.erin)),
    ("read_position_topic_same_tenancy", lambda cast: new_position(cast, topic=cast.secrets)),
    ("read_position_member_same_tenancy", lambda cast: new_position(cast, member=cast.erin)),
    (
        "mention_topic_same_tenancy",
        lambda cast: new_mention(cast, topic=cast.secrets, sequence=post(cast.secrets, cast.erin).sequence),
    ),
    ("mention_of_a_message", lambda cast: new_mention(cast, sequence=2)),
    ("mention_member_same_tenancy", lambda cast: new_mention(cast, member=cast.erin)),
    ("catch_up_member_same_tenancy", lambda cast: new_catch_up(cast, member=cast.erin)),
    (
        "catch_up_topic_catch_up_same_tenancy",
        lambda cast: new_catch_up_topic(cast, catch_up=new_catch_up(cast, tenancy=cast.aurora, member=cast.erin)),
    ),
    ("catch_up_topic_topic_same_tenancy", lambda cast: new_catch_up_topic(cast, topic=cast.secrets)),
    (
        "message_remover_same_tenancy",
        lambda cast: new_message(cast, body="", body_html="", removed_at=timezone.now(), removed_by=cast.erin),
    ),
    (
        "version_message_same_tenancy",
        lambda cast: MessageVersion.objects.create(
            tenancy=cast.northwind,
            message=post(cast.secrets, cast.erin),
            body="",
            body_html="",
            written_at=timezone.now(),
            replaced_at=timezone.now(),
        ),
    ),
    ("invitation_inviter_same_tenancy", lambda cast: new_invitation(cast, invited_by=cast.erin)),
]

UNIQUE: list[tuple[str, Offence]] = [
    ("group_name_unique_in_tenancy", lambda cast: make_group(cast.northwind, "pAYROLL")),
    ("topic_name_unique_in_group", lambda cast: make_topic(cast.payroll, "PAYMENTS Processing")),
    ("membership_open_once", lambda cast: new_membership(cast, member=cast.bob)),
    ("message_sequence_unique_in_topic", lambda cast: twice(new_message, cast)),
    (
        "message_client_id_once",
        lambda cast: [new_message(cast, sequence=sequence, client_id=ONE_ID) for sequence in (1, 2)],
    ),
    (
        "delivery_once_per_member",
        lambda cast: twice(new_delivery, cast, message=post(cast.payments, cast.alice)),
    ),
    ("mute_once", lambda cast: twice(new_mute, cast)),
    ("read_position_once", lambda cast: twice(new_position, cast)),
    ("mention_once", lambda cast: twice(new_mention, cast)),
    ("catch_up_once_a_day", lambda cast: twice(new_catch_up, cast)),
    ("catch_up_topic_once", lambda cast: twice(new_catch_up_topic, cast, catch_up=new_catch_up(cast))),
    (
        "member_once_per_tenancy",
        lambda cast: Member.objects.create(tenancy=cast.northwind, user=cast.bob.user, name="Bobby"),
    ),
    (
        "invitation_once_per_address",
        lambda cast: [new_invitation(cast, email=email) for email in ("fay@x.example", "FAY@x.example")],
    ),
]

CHECKS: list[tuple[str, Offence]] = [
    ("user_email_lower_case", lambda cast: User.objects.create(email="Fay@x.example")),
    (
        "membership_ends_after_start",
        lambda cast: new_membership(cast, left_at=timezone.now() - timedelta(minutes=1), left_roster=1),
    ),
    ("membership_ends_after_start", lambda cast: new_membership(cast, left_at=timezone.now() + timedelta(minutes=1))),
    (
        "topic_interval_up_to_a_week",
        lambda cast: make_topic(cast.payroll, "Slow", notification_interval=MINUTES_A_WEEK + 1),
    ),
    (
        "messenger_topic_notification_interval_check",
        lambda cast: make_topic(cast.payroll, "Fast", notification_interval=-1),
    ),
    ("message_sequence_from_one", lambda cast: new_message(cast, sequence=0)),
    ("message_body_length", lambda cast: new_message(cast, body="")),
    ("message_body_length", lambda cast: new_message(cast, body="x" * (BODY_MAX_LENGTH + 1))),
    ("message_outcome_has_its_reason", lambda cast: new_message(cast, outcome="no_email", reason="")),
    ("message_body_length", lambda cast: new_message(cast, removed_at=timezone.now(), removed_by=cast.alice)),
    (
        "message_removed_by_somebody",
        lambda cast: new_message(cast, body="", body_html="", removed_at=timezone.now()),
    ),
    ("message_removed_by_somebody", lambda cast: new_message(cast, removal_reason="By mistake")),
    (
        "tenancy_edit_up_to_a_day",
        lambda cast: Tenancy.objects.filter(pk=cast.northwind.pk).update(edit_minutes=24 * 60 + 1),
    ),
    ("message_outcome_has_its_reason", lambda cast: new_message(cast, outcome="email", reason="interval")),
    ("message_outcome_has_its_reason", lambda cast: new_message(cast, outcome="", reason="")),
    ("message_outcome_has_its_reason", lambda cast: new_message(cast, outcome="no_email", reason="whim")),
    ("message_elapsed_not_negative", lambda cast: new_message(cast, elapsed=timedelta(microseconds=-1))),
    ("delivery_settled_when_not_waiting", lambda cast: new_delivery(cast, state="sent", settled_at=None)),
    ("delivery_settled_when_not_waiting", lambda cast: new_delivery(cast, settled_at=timezone.now())),
    ("delivery_settled_when_not_waiting", lambda cast: new_delivery(cast, next_attempt_at=None)),
    *[
        (
            "delivery_state_has_its_reason",
            lambda cast, state=state, reason=reason: new_delivery(
                cast, state=state, reason=reason, settled_at=timezone.now()
            ),
        )
        for state, reason in [("sent", "author"), ("not_sent", ""), ("not_sent", "refused"), ("failed", "left")]
    ],
    (
        "mail_choice_catch_up_has_its_time",
        lambda cast: MailPreference.objects.create(member=cast.bob, catch_up="daily"),
    ),
    (
        "mail_choice_catch_up_has_its_time",
        lambda cast: MailPreference.objects.create(member=cast.bob, next_catch_up_at=timezone.now()),
    ),
]


@transaction.atomic
def commit(offence: Offence, cast: Cast) -> None:
    offence(cast)
    connection.check_constraints()


def refusal_of(offence: Offence, cast: Cast) -> str:
    """The name of the constraint that refuses it. Deferred constraints are checked immediately."""
    with pytest.raises(IntegrityError) as refused:
        commit(offence, cast)
    return str(refused.value.__cause__.diag.constraint_name)  # type: ignore[union-attr]


@pytest.mark.parametrize(("constraint", "offence"), FOREIGN_REFERENCES, ids=[name for name, _ in FOREIGN_REFERENCES])
def test_no_row_refers_to_another_tenancy(cast: Cast, constraint: str, offence: Offence) -> None:
    assert refusal_of(offence, cast) == constraint


@pytest.mark.parametrize(("constraint", "offence"), UNIQUE, ids=[name for name, _ in UNIQUE])
def test_duplicates_are_refused(cast: Cast, constraint: str, offence: Offence) -> None:
    assert refusal_of(offence, cast) == constraint


@pytest.mark.parametrize(("constraint", "offence"), CHECKS, ids=[name for name, _ in CHECKS])
def test_invalid_values_are_refused(cast: Cast, constraint: str, offence: Offence) -> None:
    assert refusal_of(offence, cast) == constraint


def test_two_users_cannot_share_an_address(cast: Cast) -> None:
    assert "email" in refusal_of(lambda cast: User.objects.create(email=cast.bob.user.email), cast)


@pytest.mark.parametrize("column", ["outcome", "reason", "interval_minutes", "client_id", "posted_at"])
def test_a_message_without_a_decision_cannot_exist(cast: Cast, column: str) -> None:
    with pytest.raises(IntegrityError, match="not-null"), transaction.atomic():
        new_message(cast, **{column: None})


def test_every_constraint_has_a_row_in_these_tables() -> None:
    tested = {name for name, _ in [*FOREIGN_REFERENCES, *UNIQUE, *CHECKS]}
    assert tested >= _declared() | _composite_references()


def _declared() -> set[str]:
    """The constraints of the models. UNIQUE (id, tenancy) is left out: only references use it, and ids are unique."""
    return {
        constraint.name
        for app in ("accounts", "tenancy", "messenger")
        for model in apps.get_app_config(app).get_models()
        for constraint in model._meta.constraints
        if not (isinstance(constraint, models.UniqueConstraint) and constraint.fields == ("id", "tenancy"))
    }


def _composite_references() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT conname FROM pg_constraint WHERE contype = 'f' AND array_length(conkey, 1) > 1")
        found = {name for (name,) in cursor.fetchall()}
    assert found, "there are some, or the test proves nothing"
    return found


def test_every_reference_between_rows_of_a_tenancy_is_composite() -> None:
    """A plain foreign key would allow a reference to another tenancy, which a composite one forbids."""
    with_tenancy = {
        model
        for app in ("tenancy", "messenger")
        for model in apps.get_app_config(app).get_models()
        if any(field.name == "tenancy" for field in model._meta.fields)
    }
    assert Message in with_tenancy, "or the test proves nothing"
    plain = [
        f"{model.__name__}.{field.name}"
        for model in with_tenancy
        for field in model._meta.fields
        if isinstance(field, models.ForeignKey)
        and field.related_model in with_tenancy
        and getattr(field, "db_constraint", True)
    ]
    assert plain == []


@pytest.mark.parametrize(("first", "second"), [("Été", "ÉTÉ"), ("Überstunden", "ÜBERSTUNDEN"), ("ВЫПЛАТЫ", "выплаты")])
def test_names_are_compared_without_case_beyond_ascii_too(cast: Cast, first: str, second: str) -> None:
    make_group(cast.northwind, first)
    make_topic(cast.payroll, first)
    assert refusal_of(lambda cast: make_group(cast.northwind, second), cast) == "group_name_unique_in_tenancy"
    assert refusal_of(lambda cast: make_topic(cast.payroll, second), cast) == "topic_name_unique_in_group"


@pytest.mark.parametrize(
    "name", ["Pay\u200droll", "Payroll\u3164", "Pay\ufe0froll", "Ｐａｙｒｏｌｌ", "Payroll \u2800"]
)
def test_names_that_look_the_same_are_the_same(cast: Cast, name: str) -> None:
    make_topic(cast.payroll, "Payroll")
    assert refusal_of(lambda cast: make_group(cast.northwind, name), cast) == "group_name_unique_in_tenancy"
    assert refusal_of(lambda cast: make_topic(cast.payroll, name), cast) == "topic_name_unique_in_group"


def test_the_same_names_are_allowed_in_other_tenancies_and_groups(cast: Cast) -> None:
    with transaction.atomic():
        make_group(cast.aurora, "Payroll")
        make_topic(cast.benefits, "Payments processing")
        new_message(cast, client_id=ONE_ID)
        new_message(cast, client_id=ONE_ID, author=cast.bob, sequence=2)
        connection.check_constraints()


def test_a_topic_cannot_be_moved_to_another_tenancy(cast: Cast) -> None:
    post(cast.payments, cast.alice)
    payments = Topic.objects.filter(pk=cast.payments.pk)
    assert refusal_of(lambda cast: payments.update(tenancy=cast.aurora), cast) in {
        "topic_group_same_tenancy",
        "message_topic_same_tenancy",
    }


def test_members_of_another_tenancy_cannot_be_added_to_a_group(cast: Cast) -> None:
    offence = lambda cast: save_group(cast.payroll, [cast.alice, cast.erin])  # noqa: E731
    assert refusal_of(offence, cast) == "membership_member_same_tenancy"


@pytest.mark.parametrize("model", [Tenancy, Member, MessengerGroup, Topic])
def test_a_name_has_at_most_120_characters(cast: Cast, model: type[models.Model]) -> None:
    row = model.objects.order_by("pk").first()  # type: ignore[attr-defined]
    model.objects.filter(pk=row.pk).update(name="n" * 120)  # type: ignore[attr-defined]
    with pytest.raises(DatabaseError), transaction.atomic():
        model.objects.filter(pk=row.pk).update(name="n" * 121)  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", ["x", "x" * BODY_MAX_LENGTH, "👩‍👩‍👧" * (BODY_MAX_LENGTH // 5)])
def test_a_body_of_one_to_ten_thousand_characters_is_stored(cast: Cast, body: str) -> None:
    assert 1 <= len(body) <= BODY_MAX_LENGTH, "or the test proves nothing"
    message = new_message(cast, body=body)
    message.refresh_from_db()
    assert message.body == body


@pytest.mark.parametrize("minutes", [0, MINUTES_A_WEEK])
def test_the_shortest_and_the_longest_interval_are_stored(cast: Cast, minutes: int) -> None:
    topic = make_topic(cast.payroll, "Edge", notification_interval=minutes)
    topic.refresh_from_db()
    assert topic.interval == timedelta(minutes=minutes)
