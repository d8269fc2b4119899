"""The benchmark is sound: its data are as the product would have written them, and its arithmetic is right."""

import json
import random
from dataclasses import asdict
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from bench import growth, streams, table
from bench.chart import Curve, Panel, draw
from bench.conversation import conversation, follows_the_rule
from bench.fill import CROWD_SLUG, SLUG, write
from bench.goals import (
    FLOOR_PAGE,
    GOALS,
    PAGES,
    POST,
    POST_5000,
    POST_LONG,
    SEARCH_FEW,
    SEARCH_MANY,
    THREAD,
    TOPICS,
    Goal,
    Results,
    judge,
    page,
    unmet,
)
from bench.profiles import cost_of
from bench.remains import analyse_unmet, analyses_for
from bench.rotation import Figures, Turn, ratio
from bench.shape import TINY
from bench.targets import Request
from messenger.models import Message, Topic
from messenger.notifications.monitoring.audit import audit
from tenancy.models import Member
from tests.support.cast import Cast, sign_in


@pytest.mark.django_db
def test_the_filled_database_passes_the_audit_and_its_pages_open() -> None:
    write(TINY)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    topics = Topic.objects.filter(tenancy__slug=SLUG)
    assert topics.count() == max(TINY.topics)
    assert list(topics.order_by("pk").values_list("last_sequence", flat=True)[:2]) == list(TINY.threads)
    assert Message.objects.filter(outcome=Message.Outcome.EMAIL).count() > 50
    assert audit() == []
    reader = Member.objects.get(user__email=f"reader{len(TINY.topics)}@{SLUG}.example")
    client = Client()
    client.force_login(reader.user)
    listing = client.get(f"/{SLUG}/messenger/").content.decode()
    assert "Topic 1<" in listing
    for topic in topics:
        thread = client.get(f"/{SLUG}/messenger/topics/{topic.pk}/")
        assert f'id="message-{topic.last_sequence}"' in thread.content.decode()
        assert 'id="new"' in thread.content.decode()
    crowd = Topic.objects.filter(tenancy__slug=CROWD_SLUG).last()
    assert crowd is not None
    assert crowd.readers().count() == max(TINY.crowds)


def test_a_generated_conversation_has_the_decisions_of_the_rule() -> None:
    messages = list(conversation(random.Random(1), 200, end=1_700_000_000))
    assert messages[-1].at == 1_700_000_000
    assert {message.is_emailed for message in messages} == {True, False}
    assert all(follows_the_rule(message) for message in messages)


# -- The table ---------------------------------------------------------------------------------------------


def figures(name: str, *rates: float, floor: str = "") -> Figures:
    turns = [Turn(rate, p50=1, p95=2, p99=3, web_ms=0.5, database_ms=0.25) for rate in rates]
    return Figures(name, floor, statements=6, size=20_000, turns=turns)


@pytest.mark.parametrize(
    ("ours", "floor", "expected"),
    [
        ((100,), (1000,), 0.1),
        # Ratios are taken within each round: the second round was slow for both.
        ((100, 10, 90), (1000, 100, 1000), 0.1),
        # One disturbed round changes nothing.
        ((100, 100, 1), (1000, 1000, 1000), 0.1),
        ((1, 300), (10, 1000), 0.2),
    ],
)
def test_a_ratio_is_the_median_of_the_rounds(
    ours: tuple[float, ...], floor: tuple[float, ...], expected: float
) -> None:
    both = {"ours": figures("ours", *ours), "floor": figures("floor", *floor)}
    assert ratio(both, "ours", "floor") == pytest.approx(expected)


def test_there_is_no_ratio_to_something_that_was_not_measured() -> None:
    assert ratio({"ours": figures("ours", 1)}, "ours", "floor") is None


@pytest.mark.parametrize(
    ("value", "at_most", "words"),
    [
        (10.0, False, "met"),
        (9.99, False, "NOT MET"),
        (10.0, True, "met"),
        (10.01, True, "NOT MET"),
        (None, True, "not measured"),
    ],
)
def test_a_goal_is_met_at_its_bound_and_on_its_better_side(value: float | None, at_most: bool, words: str) -> None:
    goal = Goal("P0", "something", 10, lambda _results: value, at_most=at_most)
    verdicts = judge([goal], Results({}))
    assert [verdict.in_words for verdict in verdicts] == [words]
    assert bool(unmet(verdicts)) == (words == "NOT MET")


def test_the_table_lists_every_goal_with_its_verdict() -> None:
    measured = {FLOOR_PAGE: figures(FLOOR_PAGE, 1000), THREAD: figures(THREAD, 50, floor=FLOOR_PAGE)}
    results = Results(measured, {"streams p99": 30.0, "floor S p99": 25.0})
    verdicts = judge(GOALS, results)
    lines = table.of_verdicts(verdicts).splitlines()
    assert len(lines) == len(GOALS)
    assert {line.split()[0] for line in lines} == {f"P{number}" for number in range(1, 10)}
    assert "0.05×" in lines[0]
    assert lines[0].endswith("NOT MET")
    assert [verdict.goal.what for verdict in verdicts if verdict.in_words == "met"] == [
        "SQL statements, thread page",
        "1,000 streams, p99 until shown / floor S",
        "1,000 streams, p99 until shown",
    ]
    assert "0.050" in table.of_figures(measured).splitlines()[-1]


# -- What remains ------------------------------------------------------------------------------------------


def test_only_unmet_goals_are_analysed_and_each_page_only_once() -> None:
    def goal(what: str, value: float | None, *about: str) -> Goal:
        return Goal("P0", what, 10, lambda _results: value, about=about)

    goals = [
        goal("slow", 9, "page", "floor"),
        goal("slow beside a peer", 1, "page", "peer"),
        goal("quick", 11, "other page"),
        goal("not tried", None, "other page"),
    ]
    analysed: list[str] = []

    def analyse(name: str) -> list[str]:
        analysed.append(name)
        return [f"profile of the {name}"]

    analyses = {name: partial(analyse, name) for name in ("page", "other page")}
    lines = list(analyse_unmet(judge(goals, Results({})), analyses))
    assert analysed == ["page"]
    assert lines == [
        "\nP0  slow: what remains",
        "  profile of the page",
        "\nP0  slow beside a peer: what remains",
        "  page: see above",
    ]


def test_every_goal_can_be_analysed() -> None:
    names = [
        *(THREAD, TOPICS, POST, POST_5000, POST_LONG, SEARCH_FEW, SEARCH_MANY),
        *(page(where, length) for where in PAGES for length in (1_000, 1_000_000)),
    ]
    analyses = analyses_for(Results({}), dict.fromkeys(names, Request()))
    assert [goal.what for goal in GOALS if not analyses.keys() & set(goal.about)] == []


@pytest.mark.django_db
def test_the_cost_of_a_page_is_split_into_parts_and_statements(cast: Cast) -> None:
    cookie = sign_in(cast.alice).cookies[settings.SESSION_COOKIE_NAME].value
    path = f"/{cast.alice.tenancy.slug}/messenger/topics/{cast.payments.pk}/"
    cost = cost_of(Request(path=path, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"}), requests=3)
    assert sum(cost.parts.values()) == pytest.approx(cost.cpu)
    assert {"templates", "middleware", "statements, in Python", "addresses"} <= cost.parts.keys()
    assert any(sql.startswith("EXECUTE session_user_and_member") for sql, _ in cost.statements)
    assert all(took > 0 for _, took in cost.statements)


def test_a_chart_is_well_formed_svg_that_names_its_curves() -> None:
    panel = Panel(
        "Messages", "pages a second", [Curve("last page", [(10, 1.0), (1000, 0.98)]), Curve("first", [(10, 1)])]
    )
    root = ElementTree.fromstring(draw([panel, panel]))  # noqa: S314  (our own)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("last page") == 2
    assert {"Messages", "1,000"} <= set(texts)


def test_a_panel_that_is_not_measured_again_is_read_from_the_file(tmp_path: Path) -> None:
    panel = Panel("Messages", "pages a second", [Curve("last page", [(10, 1.0), (1000, 0.98)])])
    path = tmp_path / "growth.json"
    assert growth.read(path) == {}
    path.write_text(json.dumps({"threads": asdict(panel)}))
    assert growth.read(path) == {"threads": panel}


def test_a_disturbed_publication_does_not_decide_the_latency_of_streams() -> None:
    publications = [[10.0] * 100, [11.0] * 100, [500.0] * 100]
    assert streams.median_p99(publications) == 11
    result = streams.Streams(shown=publications, received=publications, floor=[[5.0] * 100] * 3, kib=1, subscriptions=1)
    assert result.to_floor == pytest.approx(2.2)
    assert result.as_single()["streams p99"] == 500, "the p99 of all values still shows it"
