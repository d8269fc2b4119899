"""Comparing intervals: the replay is checked with a table of cases and against the decisions of posting."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import Message, Topic
from messenger.notifications.explanations import simulation
from messenger.notifications.explanations.simulation import (
    INTERVALS,
    MAX_MESSAGES,
    WINDOW,
    IntervalOutcome,
    Replay,
    Simulation,
    replay,
    simulate,
)
from tests.support.cast import Cast, age, make_topic, post, sign_in
from tests.support.stage import Response, rolled_back

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
HALF_AN_HOUR = timedelta(minutes=30)


def at(*minutes: float) -> list[datetime]:
    return [NOON + timedelta(minutes=minute) for minute in minutes]


# -- The rule ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("posted", "previous", "emails", "longest"),
    [
        ([], None, 0, 0),
        ([0], None, 1, 0),  # the first message of a topic
        ([0], -30, 1, 0),
        ([0], -29, 0, 0),  # nothing is e-mailed, but a single message is no silence
        ([0, 10, 35, 65], None, 2, 35),  # the example of the help text: 9:00, 9:10, 9:35, 10:05
        ([0, 30, 60], None, 3, 0),
        ([0, 29, 58, 87], None, 1, 87),  # a busy topic is never e-mailed again
        ([0, 10, 20], -5, 0, 20),  # counted from the first message of the window
        ([0, 10, 50, 60, 70, 80, 200], -5, 2, 30),  # the longest of several silences
        ([0, 20, 100, 105], None, 2, 20),
    ],
)
def test_a_replay_counts_emails_and_finds_the_longest_silence(
    posted: list[float], previous: float | None, emails: int, longest: float
) -> None:
    before = None if previous is None else at(previous)[0]
    assert replay(at(*posted), before, HALF_AN_HOUR) == Replay(emails, timedelta(minutes=longest))


@pytest.mark.parametrize("previous", [None, NOON])
def test_with_an_interval_of_zero_every_message_is_emailed(previous: datetime | None) -> None:
    assert replay(at(0, 0, 1, 500), previous, timedelta(0)) == Replay(4, timedelta(0))


@given(gaps=st.lists(st.integers(0, 3000), max_size=30), intervals=st.tuples(*[st.integers(0, 3000)] * 2))
def test_a_longer_interval_never_sends_more_emails_or_shortens_a_silence(
    gaps: list[int], intervals: tuple[int, int]
) -> None:
    posted = at(*(sum(gaps[:end]) for end in range(1, len(gaps) + 1)))
    shorter, longer = (replay(posted, None, timedelta(minutes=minutes)) for minutes in sorted(intervals))
    assert longer.emails <= shorter.emails
    assert longer.longest_silence >= shorter.longest_silence


@pytest.mark.django_db
@given(
    gaps=st.lists(st.integers(0, 90), min_size=1, max_size=8),
    interval=st.integers(0, 60),
    earlier=st.booleans(),
)
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_replay_agrees_with_the_decisions_of_posting(
    cast: Cast, gaps: list[int], interval: int, earlier: bool
) -> None:
    with rolled_back():
        topic = make_topic(cast.payroll, "Replayed", notification_interval=interval)
        moment = timezone.now()
        with time_machine.travel(moment, tick=False):
            before = post(topic, cast.bob).posted_at if earlier else None
        decided = []
        for gap in gaps:
            moment += timedelta(minutes=gap)
            with time_machine.travel(moment, tick=False):
                decided.append(post(topic, cast.alice))
        replayed = replay([message.posted_at for message in decided], before, timedelta(minutes=interval))
    assert replayed.emails == sum(message.outcome == Message.Outcome.EMAIL for message in decided)
    assert replayed.longest_silence == longest_silence(decided)


def longest_silence(messages: list[Message]) -> timedelta:
    """An independent definition: the longest run of messages that were not e-mailed, and the message before it."""
    longest = timedelta(0)
    for first in range(len(messages)):
        for last in range(first, len(messages)):
            between = messages[first + 1 : last + 1]
            begins = first == 0 or messages[first].outcome == Message.Outcome.EMAIL
            if begins and between and all(message.outcome == Message.Outcome.NO_EMAIL for message in between):
                longest = max(longest, messages[last].posted_at - messages[first].posted_at)
    return longest


# -- A topic's last four weeks --------------------------------------------------------------------------


def converse(topic: Topic, author: Any, *minutes_ago: int) -> None:
    """Post messages with these ages in minutes, oldest first."""
    now = timezone.now()
    for minutes in minutes_ago:
        message = post(topic, author)
        Message.objects.filter(pk=message.pk).update(posted_at=now - timedelta(minutes=minutes))
    topic.refresh_from_db()


@pytest.mark.django_db
def test_usual_saved_and_chosen_intervals_are_listed_shortest_first(cast: Cast) -> None:
    converse(cast.payments, cast.alice, 100, 55, 0)
    rows = simulate(cast.payments, saved=45, chosen=50, now=timezone.now()).rows
    assert [row.minutes for row in rows] == sorted([*INTERVALS, 45, 50])
    assert [row.minutes for row in rows if row.is_chosen] == [50]
    assert [row.minutes for row in rows if row.is_saved] == [45]
    assert {row.minutes: row.replay.emails for row in rows} == {
        **dict.fromkeys((0, 5, 15, 30, 45), 3),
        50: 2,
        **dict.fromkeys((60, 120, 240, 480, 1440), 1),
    }


@pytest.mark.django_db
def test_the_replay_starts_with_the_message_before_the_last_four_weeks(cast: Cast) -> None:
    weeks = int(WINDOW.total_seconds() // 60)
    converse(cast.payments, cast.alice, weeks + 90, weeks + 5, weeks - 5, weeks - 10)
    simulated = simulate(cast.payments, saved=30, chosen=30, now=timezone.now())
    assert simulated.messages == 2
    assert not simulated.is_capped
    assert {row.minutes: row.replay.emails for row in simulated.rows}[0] == 2
    assert {row.minutes: row.replay.emails for row in simulated.rows}[30] == 0, "10 minutes after the previous message"


@pytest.mark.django_db
def test_only_the_newest_messages_of_a_busy_topic_count_and_the_page_says_so(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse(cast.payments, cast.alice, 60, 50, 40, 30)
    for most, messages, is_capped in ((3, 3, True), (4, 4, False), (5, 4, False)):
        monkeypatch.setattr(simulation, "MAX_MESSAGES", most)
        simulated = simulate(cast.payments, saved=30, chosen=30, now=timezone.now())
        assert (simulated.messages, simulated.is_capped) == (messages, is_capped)
    monkeypatch.setattr(simulation, "MAX_MESSAGES", 3)
    assert "Only the newest 3 messages are counted." in page(cast)
    assert MAX_MESSAGES == 10_000


@pytest.mark.django_db
def test_another_topics_messages_do_not_count(cast: Cast) -> None:
    other = make_topic(cast.payroll, "Bonuses")
    converse(other, cast.alice, 50, 40)
    assert other.messages.count() == 2, "or the test proves nothing"
    assert simulate(cast.payments, saved=30, chosen=30, now=timezone.now()).messages == 0


# -- The settings page ----------------------------------------------------------------------------------


def edit_path(topic: Topic) -> str:
    return f"/northwind/messenger/topics/{topic.pk}/edit/"


def page(cast: Cast) -> str:
    return str(sign_in(cast.alice).get(edit_path(cast.payments)).content.decode())


def get_replay(cast: Cast, number: str, unit: str = "minutes") -> Response:
    query = {"notification_interval_0": number, "notification_interval_1": unit}
    return sign_in(cast.alice).get(edit_path(cast.payments) + "replay/", query)


def highlighted(response: Response) -> dict[str, list[int]]:
    rows = response.context["simulation"].rows
    return {
        "chosen": [row.minutes for row in rows if row.is_chosen],
        "saved": [row.minutes for row in rows if row.is_saved],
    }


@pytest.mark.django_db
def test_the_page_shows_the_saved_interval_and_the_mail(cast: Cast) -> None:
    post(cast.payments, cast.bob)
    response = sign_in(cast.alice).get(edit_path(cast.payments))
    assert highlighted(response) == {"chosen": [30], "saved": [30]}
    text = response.content.decode()
    assert "Compare intervals" in text
    assert "With an interval of 30 minutes, the only message would have been e-mailed." in text
    assert "E-mail preview" in text
    mail = response.context["mail"]
    assert mail.subject in text
    assert mail.body.strip().splitlines()[0] in text
    assert mail.to == [cast.alice.user.email], "the preview is addressed to its reader"


def test_the_page_groups_the_digits_of_large_numbers_but_not_those_of_the_chart() -> None:
    chosen = IntervalOutcome(30, Replay(1_234, timedelta(minutes=5)), is_chosen=True, is_saved=True)
    simulated = Simulation([chosen], messages=9_876, is_capped=False)
    text = render_to_string("messenger/topics/_replay.html", {"simulation": simulated})
    assert "1,234 of 9,876 messages would have been e-mailed" in text
    assert 'data-value="1234">1,234</td>' in text


@pytest.mark.django_db
def test_a_typed_interval_is_highlighted_and_the_saved_one_stays(cast: Cast) -> None:
    converse(cast.payments, cast.alice, 300, 100, 90)
    response = get_replay(cast, "3", "hours")
    assert response.status_code == 200
    assert highlighted(response) == {"chosen": [180], "saved": [30]}
    text = response.content.decode()
    assert "With an interval of 3 hours, 2 of 3 messages would have been e-mailed" in text
    assert "longest stretch of messages without an e-mail: 10 minutes" in text
    assert text.count("data-value") == len(INTERVALS) + 1
    assert Topic.objects.get(pk=cast.payments.pk).notification_interval == 30, "the replay saves nothing"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("number", "unit", "sentence"),
    [
        ("", "minutes", "Enter a number, for example 90 or 1.5."),
        ("x", "minutes", "Enter a number, for example 90 or 1.5."),
        ("1.5", "minutes", "Enter an interval of whole minutes."),
        ("1,000", "minutes", "Enter a number, for example 90 or 1.5."),
        ("-1", "minutes", "Enter an interval between 0 minutes and 7 days."),
        ("8", "days", "Enter an interval between 0 minutes and 7 days."),
        ("9" * 26, "days", "Enter an interval between 0 minutes and 7 days."),
        ("9" * 5000, "days", "Enter a number, for example 90 or 1.5."),
        ("1", "weeks", "Select a valid choice."),
        ("1", "", "Enter a number, for example 90 or 1.5."),
    ],
)
def test_an_invalid_interval_gets_an_error_and_the_table_stays(
    cast: Cast, number: str, unit: str, sentence: str
) -> None:
    post(cast.payments, cast.bob)
    response = get_replay(cast, number, unit)
    assert response.status_code == 200
    assert sentence in response.content.decode()
    assert highlighted(response) == {"chosen": [], "saved": [30]}


@pytest.mark.django_db
def test_an_invalid_form_shows_the_typed_interval(cast: Cast) -> None:
    post(cast.payments, cast.bob)
    form = {"name": "", "notification_interval_0": "50", "notification_interval_1": "minutes"}
    alice = sign_in(cast.alice)
    refused = alice.post(edit_path(cast.payments), form)
    assert refused.status_code == 422
    assert highlighted(refused) == {"chosen": [50], "saved": [30]}
    refused = alice.post(edit_path(cast.payments), {**form, "notification_interval_0": "x"})
    assert highlighted(refused) == {"chosen": [30], "saved": [30]}


@pytest.mark.django_db
def test_an_empty_topic_has_nothing_to_compare(cast: Cast) -> None:
    assert "No messages were posted in this topic in the last four weeks" in page(cast)
    post(cast.payments, cast.bob)
    age(cast.payments, WINDOW + timedelta(days=1))
    assert "No messages were posted in this topic in the last four weeks" in page(cast)


@pytest.mark.django_db
def test_the_fragment_opened_as_a_page_redirects_to_the_settings(cast: Cast) -> None:
    opened = sign_in(cast.alice).get(edit_path(cast.payments) + "replay/", headers={"Sec-Fetch-Dest": "document"})
    assert opened["Location"] == edit_path(cast.payments)


@pytest.mark.django_db
def test_a_replay_takes_two_queries_for_any_number_of_messages(cast: Cast) -> None:
    counts = []
    for _ in range(2):
        converse(cast.payments, cast.alice, *range(60, 0, -2))
        with CaptureQueriesContext(connection) as captured:
            assert simulate(cast.payments, saved=30, chosen=45, now=timezone.now()).messages > 0
        counts.append(len(captured))
    assert max(counts) <= 2
