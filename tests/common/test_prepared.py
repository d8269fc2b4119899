"""Prepared statements: the same rows as from querysets, one statement for each use, on any connection."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import NotSupportedError, ProgrammingError, connection, transaction
from django.db.models import QuerySet
from django.db.transaction import TransactionManagementError
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import sessions
from common.database.prepared import Prepared
from messenger.live import stream_access
from messenger.messages.rendering import MessageRow, columns_of
from messenger.models import Message, Topic
from messenger.search.engine import MARKED
from messenger.threads import pages
from messenger.topics import listing
from tenancy import middleware, session_engine
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, make_group, make_topic, post
from tests.support.concurrency import together

TENANCIES = Prepared(
    "test_tenancies",
    lambda slug, name: Tenancy.objects.filter(slug=slug, name=name).values_list("pk", "name"),
    "text",
    "text",
)


def topics_of(member: int, topic: int) -> QuerySet[Topic, tuple[Any, ...]]:
    return Topic.objects.visible_to(Member(pk=member)).filter(pk=topic).values_list("pk", "name")


@pytest.fixture
def long_topic(cast: Cast) -> Topic:
    """A topic with 20,000 messages, and as many messages in other topics."""
    topic = make_topic(make_group(cast.northwind, "Large", cast.alice), "Long")
    with connection.cursor() as cursor:
        for number in range(20):
            other = make_topic(topic.group, f"Other {number}")
            _fill(cursor, other, cast.alice, 1_000)
        _fill(cursor, topic, cast.alice, 20_000)
        cursor.execute("ANALYZE messenger_message, tenancy_member")  # an empty table's statistics mislead
    return topic


def _fill(cursor: Any, topic: Topic, author: Member, count: int) -> None:
    cursor.execute(
        "INSERT INTO messenger_message (tenancy_id, topic_id, sequence, author_id, client_id, body, body_html, "
        "renderer_version, posted_at, roster, revision, outcome, reason, interval_minutes, removal_reason) "
        "SELECT %s, %s, n, %s, gen_random_uuid(), 'Hello', 'Hello', 1, now(), 0, n, 'email', '', 30, '' "
        "FROM generate_series(1, %s) n",
        [topic.tenancy_id, topic.pk, author.pk, count],
    )


def plan_of(prepared: Prepared, *values: Any) -> str:
    prepared(*values)  # prepares it on this connection
    placeholders = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN EXECUTE {prepared.name}({placeholders})", values)
        return "\n".join(row[0] for row in cursor.fetchall())


NAMED = Prepared("test_named", lambda names: Tenancy.objects.filter(name__one_of=names).values_list("name"), "text[]")


def test_an_array_parameter_preserves_its_values(db: None) -> None:
    names = ["Plain", "With, comma", 'With "quotes"', "Back\\slash", "{braces}", "It's", "NULL", "", "Zoë 100%"]
    for number, name in enumerate(names):
        Tenancy.objects.create(slug=f"tenancy-{number}", name=name)
    for name in names:
        assert NAMED([name]) == [(name,)]
    assert {name for (name,) in NAMED(names)} == set(names)
    assert NAMED([]) == []


# -- The same rows -----------------------------------------------------------------------------------------------------


def test_pages_of_a_thread_are_the_same_as_with_querysets(cast: Cast) -> None:
    for number in range(60):
        post(cast.payments, (cast.alice, cast.bob)[number % 2], f"Number {number}")
    post(cast.pensions, cast.mallory)
    messages = Message.objects.filter(topic=cast.payments.pk)
    for sequence in (0, 1, 2, 30, 61, 62, 10**17):
        older = columns_of(messages.before(sequence).newest_first())[:50]
        newer = columns_of(messages.after(sequence).oldest_first())[:51]
        assert pages.BEFORE(cast.payments.pk, sequence) == list(older), sequence
        assert pages.AFTER(cast.payments.pk, sequence) == list(newer), sequence
    row = MessageRow._make(pages.AFTER(cast.payments.pk, 0)[0])
    assert row.author_name == "Alice Almeida"
    assert isinstance(row.posted_at, type(timezone.now()))
    assert row.posted_at.tzinfo is not None


def test_djangos_converters_are_applied(cast: Cast) -> None:
    message = post(cast.payments, cast.alice)
    message.deliveries.create(
        tenancy=cast.northwind, member=cast.bob, state="waiting", next_attempt_at=timezone.now() + timedelta(days=1)
    )
    (values,) = pages.AFTER(cast.payments.pk, 0)
    assert MessageRow._make(values).missing == {"waiting": 1, "failed": 0, "cancelled": 0}


def test_the_access_rule_is_the_same_as_in_the_queryset(cast: Cast) -> None:
    readable = Prepared("test_readable", topics_of, "bigint", "bigint")
    for member in (cast.alice, cast.bob, cast.charlie, cast.dana, cast.erin):
        for topic in (cast.payments, cast.pensions, cast.secrets):
            assert readable(member.pk, topic.pk) == list(topics_of(member.pk, topic.pk))
    assert readable(cast.bob.pk, cast.payments.pk) == [(cast.payments.pk, "Payments processing")]
    assert readable(cast.erin.pk, cast.payments.pk) == []


def test_parameters_with_the_same_value_are_not_mixed_up(cast: Cast) -> None:
    same = Tenancy.objects.create(slug="same", name="same")
    assert TENANCIES("same", "same") == [(same.pk, "same")]
    assert TENANCIES("northwind", "Northwind") == [(cast.northwind.pk, "Northwind")]
    assert TENANCIES("Northwind", "northwind") == []
    assert TENANCIES("northwind", "same") == []


@pytest.mark.parametrize("name", ["100%s", "it's", "a \\ b", "%(name)s", "$1", "''; DROP TABLE accounts_user; --"])
def test_values_and_constants_are_passed_unchanged(cast: Cast, name: str) -> None:
    odd = Tenancy.objects.create(slug="odd", name=name)
    assert TENANCIES("odd", name) == [(odd.pk, name)]
    constant = Prepared(
        f"test_constant_{name.encode().hex()}"[:60],
        lambda slug: Tenancy.objects.filter(slug=slug, name=name).values_list("pk"),
        "text",
    )
    assert constant("odd") == [(odd.pk,)]


def test_two_statements_are_sent_together_and_the_rows_of_the_second_returned(cast: Cast) -> None:
    for _ in range(2):  # on a connection that has prepared neither, then on one that has prepared both
        with transaction.atomic(), CaptureQueriesContext(connection) as captured:
            rows = TENANCIES.after(NAMED, (["Aurora", "it's 100%"],), "northwind", "Northwind")
        assert rows == [(cast.northwind.pk, "Northwind")]
        assert len(captured) == 1


# -- Statements that are refused ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "problem"),
    [
        (lambda topic, sequence: Message.objects.filter(topic=topic), "parameter 2 is missing"),
        (lambda topic, sequence: Message.objects.filter(topic=topic, sequence__in=[sequence + 1]), "constant"),
        (
            lambda topic, sequence: Message.objects.filter(topic=topic).before(sequence).after(sequence - 10),
            "constant",
        ),
        (lambda topic, sequence: Message.objects.filter(topic=topic, body__contains=sequence), "constant"),
        (
            lambda topic, sequence: Message.objects.filter(topic=topic, posted_at__gt=timezone.now()).after(sequence),
            "constant",
        ),
    ],
)
def test_a_missing_or_changed_parameter_is_refused(cast: Cast, build: Any, problem: str) -> None:
    refused = Prepared("test_refused", lambda *values: build(*values).values_list("pk"), "bigint", "bigint")
    with pytest.raises(ValueError, match=problem):
        refused(1, 2)


def test_two_statements_with_the_same_name_are_refused(cast: Cast) -> None:
    twins = [Prepared("test_twins", topics_of, "bigint", "bigint") for _ in range(2)]
    twins[0](1, 2)
    with pytest.raises(ProgrammingError, match="already exists"), transaction.atomic():
        twins[1](1, 2)


# -- Connections -------------------------------------------------------------------------------------------------------


def test_every_use_is_one_statement_including_the_first(cast: Cast) -> None:
    fresh = Prepared("test_fresh", topics_of, "bigint", "bigint")
    for _ in range(3):
        with CaptureQueriesContext(connection) as captured:
            assert len(fresh(cast.bob.pk, cast.payments.pk)) == 1
        assert [one["sql"] for one in captured] == [f"EXECUTE test_fresh({cast.bob.pk}, {cast.payments.pk})"]


@pytest.fixture
def committed(transactional_db: None) -> Iterator[Tenancy]:
    yield Tenancy.objects.create(slug="committed", name="Committed")
    Tenancy.objects.all().delete()


def test_a_new_connection_prepares_it_again(committed: Tenancy) -> None:
    assert TENANCIES("committed", "Committed") == [(committed.pk, "Committed")]
    connection.close()
    assert TENANCIES("committed", "Committed") == [(committed.pk, "Committed")]


def test_each_thread_prepares_it_on_its_own_connection(committed: Tenancy) -> None:
    once = Prepared("test_at_once", lambda slug: Tenancy.objects.filter(slug=slug).values_list("pk"), "text")
    assert together([lambda: once("committed")] * 6) == [[(committed.pk,)]] * 6


def test_it_survives_the_rollback_of_the_transaction_that_prepared_it(committed: Tenancy) -> None:
    within = Prepared("test_within", lambda slug: Tenancy.objects.filter(slug=slug).values_list("pk"), "text")
    with transaction.atomic():
        assert within("committed") == [(committed.pk,)]
        transaction.set_rollback(True)
    assert within("committed") == [(committed.pk,)]


def test_in_a_broken_transaction_djangos_error_is_raised(committed: Tenancy) -> None:
    broken = Prepared("test_broken", lambda slug: Tenancy.objects.filter(slug=slug).values_list("pk"), "text")
    with pytest.raises(TransactionManagementError), transaction.atomic():  # noqa: PT012
        transaction.set_rollback(True)
        broken("committed")
    assert broken("committed") == [(committed.pk,)]


def test_it_is_prepared_again_after_the_type_of_a_column_has_changed(committed: Tenancy) -> None:
    changed = Prepared("test_changed", lambda slug: Tenancy.objects.filter(slug=slug).values_list("name"), "text")
    assert changed("committed") == [("Committed",)]

    def alter(type_name: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE tenancy_tenancy ALTER COLUMN name TYPE {type_name}")

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = 'tenancy_tenancy'::regclass AND attname = 'name'"
        )
        before = cursor.fetchone()[0]
    alter("text")
    try:
        assert changed("committed") == [("Committed",)]
        alter(before)
        with pytest.raises(NotSupportedError), transaction.atomic():
            changed("committed")
        assert changed("committed") == [("Committed",)], "only that transaction fails"
    finally:
        alter(before)


# -- Plans -------------------------------------------------------------------------------------------------------------


def test_pages_of_a_thread_use_the_index_and_sort_nothing(long_topic: Topic) -> None:
    for prepared, sequence in (
        (pages.BEFORE, 20_001),
        (pages.BEFORE, 2),
        (pages.AFTER, 0),
        (pages.AFTER, 9_999),
    ):
        plan = plan_of(prepared, long_topic.pk, sequence)
        assert "message_sequence_unique_in_topic" in plan
        assert "(topic_id = $1)" in plan, "one plan for all values, as in production"
        assert "Seq Scan on messenger_message" not in plan
        assert "Sort" not in plan


def test_changed_messages_are_selected_before_anything_is_joined(long_topic: Topic) -> None:
    plan = plan_of(pages.CHANGED, long_topic.pk, 0, 1)
    chosen, _, found = plan.partition("Index Scan using message_changed_in_topic")
    assert found, plan
    assert "Limit" in chosen.splitlines()[-2], "limited at once, without sorting all changes first"
    assert "Seq Scan on messenger_message" not in plan
    assert [row[0] for row in pages.CHANGED(long_topic.pk, 19_990, 19_995)] == [*range(19_995, 20_001)]


@pytest.fixture
def many_users(cast: Cast) -> None:
    """10,000 users, each a member of Northwind and signed in."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, email, is_active, language, time_zone, appearance, created_at) "
            "SELECT '!', 'user' || n || '@northwind.example', true, 'en-gb', 'UTC', 'device', now() "
            "FROM generate_series(1, 10000) n"
        )
        cursor.execute(
            "INSERT INTO tenancy_member (tenancy_id, user_id, name, is_administrator, is_messenger_manager, is_active, "
            "created_at) SELECT %s, id, email, false, false, true, now() FROM accounts_user WHERE password = '!'",
            [cast.northwind.pk],
        )
        cursor.execute(
            "INSERT INTO accounts_session (session_key, session_data, expire_date, user_id) "
            "SELECT md5(email), 'x', now() + interval '1 day', id FROM accounts_user"
        )
        cursor.execute("ANALYZE accounts_user, accounts_session, tenancy_member, tenancy_tenancy")


def test_session_user_and_member_are_found_by_indexes(cast: Cast, many_users: None) -> None:
    plan = plan_of(sessions.OPEN, "x" * 32, timezone.now())
    assert "Index Scan using accounts_session_" in plan, "the primary key, or the index that Django adds for LIKE"
    assert "accounts_user_pkey" in plan
    assert "Seq Scan" not in plan
    plan = plan_of(session_engine.OPEN, "x" * 32, timezone.now(), "northwind")
    assert "Seq Scan on accounts" not in plan
    assert "Seq Scan on tenancy_member" not in plan
    plan = plan_of(middleware.ACTIVE_MEMBER, cast.bob.user_id, "northwind")
    assert "Seq Scan on tenancy_member" not in plan
    assert "Seq Scan on accounts_user" not in plan
    assert len(middleware.ACTIVE_MEMBER(cast.bob.user_id, "northwind")) == 1


def test_access_of_streams_is_checked_by_session_and_not_by_scanning_a_group(cast: Cast, many_users: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_groupmembership (tenancy_id, group_id, member_id, joined_at, joined_roster) "
            "SELECT tenancy_id, %s, id, now(), 1 FROM tenancy_member WHERE name LIKE 'user%%'",
            [cast.payroll.pk],
        )
        cursor.execute("SELECT session_key FROM accounts_session ORDER BY session_key LIMIT 250")
        keys = [key for (key,) in cursor.fetchall()]
        cursor.execute("ANALYZE messenger_groupmembership, messenger_messengergroup")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # as on our connections
    plan = plan_of(stream_access.SESSIONS_WITH_ACCESS, keys, [cast.payroll.pk], timezone.now())
    assert plan.index("on accounts_session") < plan.index("on messenger_groupmembership"), plan
    for table in ("accounts_session", "accounts_user", "tenancy_member", "messenger_groupmembership"):
        assert f"Seq Scan on {table}" not in plan
    assert "Index Cond: (member_id = " in plan, "by index, for each member"
    assert len(stream_access.SESSIONS_WITH_ACCESS(keys, [cast.payroll.pk], timezone.now())) == len(keys)


def test_the_list_finds_its_topics_by_time_and_stops_after_one_page(cast: Cast) -> None:
    group = make_group(cast.northwind, "Large", cast.alice)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_topic (tenancy_id, group_id, name, notifications_enabled, notification_interval, "
            "is_active, created_at, last_activity_at, last_sequence, revision) "
            "SELECT %s, %s, 'Topic ' || n, true, 30, true, now(), now() - n * interval '1 minute', 0, 0 "
            "FROM generate_series(1, 5000) n",
            [cast.northwind.pk, group.pk],
        )
        cursor.execute(
            "INSERT INTO messenger_readposition (tenancy_id, topic_id, member_id, sequence) "
            "SELECT t.tenancy_id, t.id, m.id, 0 FROM messenger_topic t JOIN tenancy_member m USING (tenancy_id) "
            "WHERE t.group_id = %s",
            [group.pk],
        )
        cursor.execute("ANALYZE messenger_topic, messenger_messengergroup, tenancy_member, messenger_readposition")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # as on our connections
    plan = plan_of(listing.FIRST_PAGE, cast.northwind.pk, cast.alice.pk, [group.pk, cast.payroll.pk])
    first, second, third, *_ = plan.splitlines()
    assert first.startswith("Limit"), plan
    assert "Nested Loop Left Join" in second, plan
    assert "Index Scan using topic_latest_of_tenancy" in third, "at once, without sorting all topics first"
    assert plan.count("on messenger_readposition") == 1, "one look-up of the read position for each topic"
    assert "Seq Scan" not in plan, plan
    rows, has_more = listing.first_page(cast.alice, listing.groups_of(cast.alice))
    assert [row.summary.name for row in rows[:3]] == ["Payments processing", "Topic 1", "Topic 2"]
    assert (len(rows), has_more) == (50, True)


def test_the_list_of_one_group_does_not_read_the_topics_of_others(cast: Cast) -> None:
    large, small = make_group(cast.northwind, "Large", cast.bob), make_group(cast.northwind, "Small", cast.charlie)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_topic (tenancy_id, group_id, name, notifications_enabled, notification_interval, "
            "is_active, created_at, last_activity_at, last_sequence, revision) "
            "SELECT %s, CASE WHEN n %% 25 = 0 THEN %s ELSE %s END, 'Topic ' || n, true, 30, n %% 1000 > 0, now(), "
            "now() - n * interval '1 minute', 0, 0 FROM generate_series(1, 5000) n",
            [cast.northwind.pk, small.pk, large.pk],
        )
        cursor.execute("ANALYZE messenger_topic, messenger_messengergroup")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")  # as on our connections
    plan = plan_of(listing.FIRST_PAGE_OF_GROUP, small.pk, cast.charlie.pk)
    assert plan.startswith("Limit"), plan
    assert "topic_latest_of_group" in plan
    assert "Seq Scan on messenger_topic " not in plan
    assert " Sort  (" not in plan.replace("Incremental Sort", ""), "sorts only topics with the same timestamp"
    plan = plan_of(listing.INACTIVE, [small.pk])
    assert "Index Only Scan using topic_inactive_of_group" in plan, plan
    assert "Index Cond: (group_id = ANY ($1))" in plan
    cast.charlie.is_messenger_manager = True
    assert listing.count_inactive(cast.charlie, listing.groups_of(cast.charlie)) == 5
    rows, has_more = listing.first_page(cast.charlie, listing.groups_of(cast.charlie))
    assert [row.summary.name for row in rows[:2]] == ["Topic 25", "Topic 50"]
    assert (len(rows), has_more) == (50, True)
    assert {row.group for row in rows} == {"Small"}


def test_access_is_checked_once_and_not_for_each_group_of_a_member(cast: Cast, many_users: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO messenger_groupmembership (tenancy_id, group_id, member_id, joined_at, joined_roster) "
            "SELECT tenancy_id, %s, id, now(), 1 FROM tenancy_member WHERE name LIKE 'user%%'",
            [cast.payroll.pk],
        )
        cursor.execute("ANALYZE messenger_groupmembership, messenger_messengergroup")
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
    plan = plan_of(listing.GROUPS, cast.bob.pk)
    _, once, each = plan.partition("One-Time Filter")
    assert once, plan
    assert "on messenger_groupmembership" in each
    assert not any(f"on {table}" in each for table in ("tenancy_member", "accounts_user", "tenancy_tenancy")), plan
    assert "Seq Scan on messenger_groupmembership" not in plan
    assert [group.name for group in listing.groups_of(cast.bob)] == ["Payroll"]


def test_summaries_find_a_topic_by_id_and_its_last_message_by_sequence(
    long_topic: Topic,
) -> None:
    plan = plan_of(listing.SUMMARIES, [long_topic.pk])
    assert "message_sequence_unique_in_topic" in plan, plan
    assert "Seq Scan on messenger_message" not in plan
    ((pk, *_),) = listing.SUMMARIES([long_topic.pk])
    assert pk == long_topic.pk


def test_search_results_are_fetched_by_id(long_topic: Topic) -> None:
    plan = plan_of(MARKED, [long_topic.group_id], "'hello'", [1, 2, 3])
    assert "Seq Scan on messenger_message" not in plan
