"""How many statements a page costs at most, whatever there is in the database."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messenger.groups.services import save_group
from messenger.notifications.recipients import clear_audience_cache
from tests.support.cast import Cast, make_group, make_member, make_topic, post, sign_in
from tests.support.pages import GROUPS, TOPICS, USERS, filled, send, text_of, thread
from tests.support.stage import Response


def cost(ask: Callable[[], Response], status: int = 200) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert ask().status_code == status
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")
    return [query["sql"] for query in captured.captured_queries if not query["sql"].startswith(ignored)]


def assert_same_and_at_most(costs: list[list[str]], most: int) -> None:
    assert len({len(one) for one in costs}) == 1, ["\n".join(one) for one in costs]
    assert len(costs[0]) <= most, "\n".join(costs[0])


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_a_thread_costs_at_most_6_statements_whatever_is_in_it(cast: Cast, who: str) -> None:
    def of_a_process_that_has_just_begun() -> list[str]:
        clear_audience_cache()
        return cost(lambda: client.get(thread(cast.payments)))

    client, costs = sign_in(getattr(cast, who)), []
    for _ in range(5):
        post(cast.payments, cast.alice)
        post(cast.payments, cast.bob)  # so that there is something unread for both
    costs.append(of_a_process_that_has_just_begun())
    for _ in range(55):
        post(cast.payments, cast.alice)
        post(cast.payments, cast.bob)
    costs.append(of_a_process_that_has_just_begun())
    enlarge(cast)
    for author in (cast.alice, cast.bob):
        post(cast.payments, author)
    costs.append(of_a_process_that_has_just_begun())
    assert_same_and_at_most(costs, 6)


def enlarge(cast: Cast) -> None:
    crowd = [make_member(cast.northwind, f"crowd{number} Person") for number in range(38)]
    save_group(cast.payroll, [cast.alice, cast.bob, *crowd])
    assert cast.payments.readers().count() == 40


@pytest.mark.parametrize("who", ["bob", "alice"])
def test_the_topic_list_costs_at_most_6_statements_whatever_is_in_it(cast: Cast, who: str) -> None:
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


@pytest.mark.parametrize("by_script", [False, True])
def test_a_post_costs_at_most_9_statements_whatever_the_group(cast: Cast, by_script: bool) -> None:
    bob, headers = sign_in(cast.bob), {"X-Requested-With": "fetch"} if by_script else {}
    status, costs = 201 if by_script else 303, []
    send(bob, cast.payments)  # the first message begins the author's read position: one more
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    for _ in range(60):
        post(cast.payments, cast.alice)
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    enlarge(cast)
    costs.append(cost(lambda: send(bob, cast.payments, **headers), status))
    assert_same_and_at_most(costs, 4)


@pytest.mark.parametrize("path", ["GROUP", "GROUPusers/", "GROUPedit/", GROUPS, USERS])
def test_the_lists_of_administration_cost_the_same_whatever_is_in_them(cast: Cast, path: str) -> None:
    dana, costs = sign_in(cast.dana), []
    costs.append(cost(lambda: dana.get(filled(path, cast))))
    enlarge(cast)
    for number in range(5):
        make_group(cast.northwind, f"Group {number}", cast.bob)
    costs.append(cost(lambda: dana.get(filled(path, cast))))
    assert_same_and_at_most(costs, 9)
