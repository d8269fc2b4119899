"""What is computed once and shown to many: pieces of pages, the menu's badge, a topic's audience."""

from typing import Any

import pytest
from django.db import connection
from django.template import Context, TemplateSyntaxError, engines
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext

from messenger.audience import Audience, audience_of, forget_audiences
from messenger.choices import set_muted
from messenger.groups import save_group
from messenger.models import Topic
from messenger.reading import count_unread_topics, mark_all_read, mark_read, mark_unread_from
from tests.cast import Cast, make_topic, post, sign_in
from tests.faults import redis_away

# -- Pieces of pages ---------------------------------------------------------------------------------------------------


def render(source: str, **values: Any) -> str:
    return str(engines["django"].from_string(source).template.render(Context(values)))  # type: ignore[attr-defined]


class Counted:
    """A value that tells how often it was shown."""

    shown = 0

    def __str__(self) -> str:
        self.shown += 1
        return "x"


def test_a_piece_is_rendered_once_for_the_same_values() -> None:
    template = engines["django"].from_string("{% kept who=who what=what %}{{ who }}{{ what }}{% endkept %}").template  # type: ignore[attr-defined]
    one, other = Counted(), Counted()
    for _ in range(3):
        assert template.render(Context({"who": one, "what": 1})) == "x1"
    assert one.shown == 1
    assert template.render(Context({"who": one, "what": 2})) == "x2"
    assert template.render(Context({"who": other, "what": 1})) == "x1"
    assert (one.shown, other.shown) == (2, 1)


def test_two_pieces_of_the_same_values_are_two() -> None:
    assert render("{% kept a=1 %}one{% endkept %}{% kept a=1 %}two{% endkept %}") == "onetwo"


def test_within_a_piece_there_is_nothing_but_what_it_is_kept_by() -> None:
    assert render(
        "{% kept a=1 %}[{{ secret }}{{ request }}{{ user }}]{% endkept %}", secret="s", request="r", user="u"
    ) == ("[]")
    with_loop = "{% for name in names %}{% kept %}[{{ name }}{{ forloop.counter }}]{% endkept %}{% endfor %}"
    assert render(with_loop, names=["Ann", "Bob"]) == "[][]"


def test_what_is_escaped_and_what_is_not_are_two_pieces() -> None:
    template = engines["django"].from_string("{% kept name=name %}{{ name }}{% endkept %}").template  # type: ignore[attr-defined]
    assert template.render(Context({"name": mark_safe("<b>")})) == "<b>"
    assert template.render(Context({"name": "<b>"})) == "&lt;b&gt;"


def test_true_and_one_are_two_pieces() -> None:
    template = engines["django"].from_string("{% kept value=value %}{{ value }}{% endkept %}").template  # type: ignore[attr-defined]
    assert [template.render(Context({"value": value})) for value in (True, 1, 1.0)] == ["True", "1", "1.0"]


def test_each_language_has_pieces_of_its_own() -> None:
    template = engines["django"].from_string('{% kept %}{% translate "Yesterday" %}{% endkept %}').template  # type: ignore[attr-defined]
    assert template.render(Context()) == "Yesterday"
    with translation.override("de"):
        assert gettext("Yesterday") != "Yesterday", "or the test proves nothing"
        assert template.render(Context()) == gettext("Yesterday")


def test_a_lazy_value_is_kept_by_what_it_is() -> None:
    template = engines["django"].from_string("{% kept sees=sees %}{{ sees }}{% endkept %}").template  # type: ignore[attr-defined]
    for sees in (True, False, True):
        lazy = SimpleLazyObject(lambda sees=sees: sees)  # type: ignore[misc]
        assert template.render(Context({"sees": lazy})) == str(sees)


def test_a_value_without_a_name_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError, match="by name: user"):
        render("{% kept user %}{% endkept %}")


@pytest.mark.django_db
def test_nobody_is_shown_a_piece_of_somebody_else(cast: Cast) -> None:
    make_topic(cast.payroll, "Second")
    pages = ["/northwind/", "/northwind/messenger/", f"/northwind/messenger/topics/{cast.payments.pk}/"]
    alice, bob, charlie = sign_in(cast.alice), sign_in(cast.bob), sign_in(cast.charlie)
    for client, others in ((alice, "Bob Brandt"), (bob, "Alice Almeida"), (alice, "Bob Brandt")):
        for page in pages:
            assert others not in client.get(page).content.decode(), page
    assert "Messenger</" not in charlie.get("/northwind/").content.decode()
    assert "Create new topic" in alice.get(pages[1]).content.decode()
    assert "Create new topic" not in bob.get(pages[1]).content.decode()


# -- The menu's badge --------------------------------------------------------------------------------------------------


@pytest.fixture
def committed(transactional_db: None, cast: Cast) -> Cast:
    """What is not committed is remembered for nobody."""
    assert not connection.in_atomic_block
    return cast


def statements(ask: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        ask()
    return len(captured)


def test_what_is_unread_is_counted_once_until_something_is_said_or_read(committed: Cast) -> None:
    post(committed.payments, committed.alice)
    assert count_unread_topics(committed.bob) == 1
    assert statements(lambda: count_unread_topics(committed.bob)) == 0
    second = make_topic(committed.payroll, "Second")
    post(second, committed.alice)
    assert count_unread_topics(committed.bob) == 2
    mark_read(second, committed.bob, 1)
    assert count_unread_topics(committed.bob) == 1
    mark_unread_from(second, committed.bob, 1)
    assert count_unread_topics(committed.bob) == 2
    mark_all_read(committed.bob)
    assert count_unread_topics(committed.bob) == 0
    assert count_unread_topics(committed.alice) == 0, "one's own"


def test_without_redis_it_is_counted_each_time(committed: Cast, settings: Any) -> None:
    post(committed.payments, committed.alice)
    with redis_away(settings):
        assert count_unread_topics(committed.bob) == 1
        mark_read(committed.payments, committed.bob, 1)
        assert count_unread_topics(committed.bob) == 0


def test_a_number_that_was_counted_before_a_message_is_not_remembered_after_it(
    committed: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message comes between the look at what changed and the end of the counting."""
    from messenger import reading

    counted = reading.UNREAD_TOPICS

    def count_and_post(member: int) -> Any:
        found = counted(member)
        post(committed.payments, committed.alice)
        return found

    monkeypatch.setattr(reading, "UNREAD_TOPICS", count_and_post)
    assert count_unread_topics(committed.bob) == 0
    monkeypatch.undo()
    assert count_unread_topics(committed.bob) == 1


# -- A topic's audience ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_audience_is_counted_once_until_it_changes_however_many_messages_there_are(cast: Cast) -> None:
    def now() -> Topic:
        return Topic.objects.get(pk=cast.payments.pk)

    topic = now()
    assert audience_of(topic) == Audience(people=2, mailed=2)
    assert statements(lambda: audience_of(topic)) == 0
    post(cast.payments, cast.alice)
    posted_into = now()
    assert posted_into.revision > topic.revision, "or the test proves nothing"
    assert statements(lambda: audience_of(posted_into)) == 0
    set_muted(cast.payments, cast.bob, True)
    assert audience_of(now()) == Audience(people=2, mailed=1)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert audience_of(now()) == Audience(people=3, mailed=2)
    forget_audiences()
    assert audience_of(now()) == Audience(people=3, mailed=2)


@pytest.mark.parametrize(
    ("is_muted", "wants_own", "recipients"), [(False, False, 4), (False, True, 5), (True, False, 5), (True, True, 5)]
)
def test_ones_own_message_is_mailed_to_oneself_only_by_choice(is_muted: bool, wants_own: bool, recipients: int) -> None:
    """Of seven people five are mailed; who muted the topic is none of the five."""
    assert Audience(people=7, mailed=5).recipients(is_muted=is_muted, wants_own=wants_own) == recipients


@pytest.mark.django_db
def test_a_thread_and_its_pieces_are_fetched_with_the_same_statements_for_two_people(cast: Cast) -> None:
    def cost(client: Client) -> int:
        return statements(lambda: client.get(f"/northwind/messenger/topics/{cast.payments.pk}/"))

    alice, bob = sign_in(cast.alice), sign_in(cast.bob)
    assert cost(alice) == cost(bob) + 1, "the first one counts the audience"
    assert cost(alice) == cost(bob)
