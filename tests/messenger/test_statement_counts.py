"""How many statements a page makes at most, whatever the database contains."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messenger.groups.services import save_group
from messenger.notifications.recipients import clear_audience_cache
from tests.support.cast import Cast, make_group, make_member, make_topic, post, sign_in
from tests.support.pages import GROUPS, TOPICS, USERS, expand, send, text_of, thread
from tests.support.stage import Response


def cost(request: Callable[[], Response], status: int = 200) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert request().status_code == status
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(ignored)]


def assert_same_and_at_most(costs: list[list[str]], limit: int) -> None:
    assert len({len(statements) for statements in costs}) == 1, ["\n".join(statements) for statements in costs]
    assert len(costs[0]) <= limit, "\n".join(costs[0])


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_a_thread_makes_at_most_6_statements_whatever_it_contains(cast: Cast, who: str) -> None:
    def in_a_new_process() -> list[str]:
        clear_audience_cache()
        return cost(lambda: client.get(thread(cast.payments)))

    client, costs = sign_in(getattr(cast, who)), []
    for _ in range(5):
        post(cast.payments, cast.alice)
        post(cast.payments, cast.bob)  # so that both have unread messages
    costs.append(in_a_new_process())
    for _ in range(55):
        post(cast.payments, cast.alice)
        post(cast.payments, cast.bob)
    costs.append(in_a_new_process())
    enlarge(cast)
    for author in (cast.alice, cast.bob):
        post(cast.payments, author)
    costs.append(in_a_new_process())
    assert_same_and_at_most(costs, 6)


def enlarge(cast: Cast) -> None:
    many = [make_member(cast.northwind, f"reader{number} Reed") for number in range(38)]
    save_group(cast.payroll, [cast.alice, cast.bob, *many])
    assert cast.payments.readers().count() == 40


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_the_topic_list_makes_at_most_6_statements_whatever_it_contains(cast: Cast, who: str) -> None:
    client, costs = sign_in(getattr(cast, who)), []
    topics = [cast.payments, *(make_topic(cast.payroll, f"Topic {number}") for number in range(2))]
    post(cast.payments, cast.alice)
    costs.append(cost(lambda: client.get(TOPICS)))
    topics += [make_topic(cast.payroll, f"Further topic {number}") for number in range(37)]
    for topic in topics:
        post(topic, cast.alice)
    costs.append(cost(lambda: client.get(TOPICS)))
    for number in range(5):
        make_group(cast.northwind, f"Group {number}", getattr(cast, who))
    enlarge(cast)
    costs.append(cost(lambda: client.get(TOPICS)))
    assert text_of(client.get(TOPICS)).count('<li class="topic') == 40, "or the test proves nothing"
    assert_same_and_at_most(costs, 6)


@pytest.mark.parametrize("is_fetch", [False, True])
def test_a_post_makes_at_most_4_statements_whatever_the_group_contains(cast: Cast, is_fetch: bool) -> None:
    bob, headers = sign_in(cast.bob), {"X-Requested-With": "fetch"} if is_fetch else {}
    status, costs = 201 if is_fetch else 303, []
    send(bob, cast.payments)  # the author's first message creates their read position: one statement more
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    for _ in range(60):
        post(cast.payments, cast.alice)
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    enlarge(cast)
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    assert_same_and_at_most(costs, 4)


@pytest.mark.parametrize("path", ["GROUP", "GROUPusers/", "GROUPedit/", GROUPS, USERS])
def test_the_lists_of_administration_make_the_same_statements_whatever_they_contain(cast: Cast, path: str) -> None:
    dana, costs = sign_in(cast.dana), []
    costs.append(cost(lambda: dana.get(expand(path, cast))))
    enlarge(cast)
    for number in range(5):
        make_group(cast.northwind, f"Group {number}", cast.bob)
    costs.append(cost(lambda: dana.get(expand(path, cast))))
    assert_same_and_at_most(costs, 9)
