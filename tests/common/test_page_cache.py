"""Pages that are rendered once and then filled in: what is filled in, and what must never be."""

from typing import Any

import pytest
from django.template import engines
from django.utils import translation
from django.utils.safestring import mark_safe

from common.caching import page_cache
from common.caching.page_cache import PlaceholderValue
from messenger.search import forms as search_forms
from messenger.web import responses
from tests.support.cast import Cast, sign_in
from tests.support.pages import TOPICS, thread


def render_skeleton(template: str, same: dict[str, Any], shown: dict[str, PlaceholderValue]) -> str:
    return page_cache.render_skeleton(template, same, shown).decode()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Templates by name, as a test writes them; each counts how often it was asked for."""
    sources: dict[str, str] = {}
    asked: list[str] = []

    def get_template(name: str) -> Any:
        asked.append(name)
        return engines["django"].from_string(sources[name])

    monkeypatch.setattr(page_cache, "get_template", get_template)
    page_cache._skeletons.clear()
    yield sources, asked
    page_cache._skeletons.clear()


def test_a_template_is_rendered_once_and_then_filled_in(written: Any) -> None:
    sources, asked = written
    sources["page"] = "{% if manages %}<b>{% endif %}{{ topic.name }} {{ topic.pk|stringformat:'d' }} {{ topic.name }}"
    assert render_skeleton("page", {"manages": True}, {"topic.name": "One", "topic.pk": 1}) == "<b>One 1 One"
    assert render_skeleton("page", {"manages": True}, {"topic.name": "Two", "topic.pk": 22}) == "<b>Two 22 Two"
    assert asked == ["page"]
    assert render_skeleton("page", {"manages": False}, {"topic.name": "Two", "topic.pk": 22}) == "Two 22 Two"
    assert asked == ["page", "page"]


def test_what_is_filled_in_is_escaped_unless_it_is_marked_as_safe(written: Any) -> None:
    written[0]["page"] = "{{ text }}"
    for _ in range(2):
        assert render_skeleton("page", {}, {"text": "<b>&'\""}) == "&lt;b&gt;&amp;&#x27;&quot;"
        assert render_skeleton("page", {}, {"text": mark_safe("<b>")}) == "<b>"
        assert render_skeleton("page", {}, {"text": "<b>ø</b>".encode()}) == "<b>ø</b>"


def test_what_is_filled_in_is_never_taken_for_a_place_to_fill(written: Any) -> None:
    written[0]["page"] = "{{ one }}{{ two }}"
    for of_two in (f"{page_cache._LETTERS}001", f"{page_cache._DIGITS}001"):
        assert render_skeleton("page", {}, {"one": of_two, "two": "secret"}) == f"{of_two}secret"


def test_a_name_is_kept_escaped_and_a_text_is_not(written: Any) -> None:
    written[0]["page"] = "{{ text }}"
    page_cache._escaped.cache_clear()
    for kept, text in ((1, "R&D"), (1, "R&D"), (1, "&" * 1_000_000)):
        assert render_skeleton("page", {}, {"text": text}) == text.replace("&", "&amp;")
        assert page_cache._escaped.cache_info().currsize == kept


def test_in_an_outline_there_is_nothing_but_what_was_handed_over(written: Any) -> None:
    written[0]["page"] = "[{{ request }}{{ user }}{{ messages }}{{ name }}]"
    assert render_skeleton("page", {}, {"name": "Ann"}) == "[Ann]"


def test_pages_of_two_tenancies_have_one_outline(written: Any) -> None:
    sources, asked = written
    sources["page"] = '{% url "messenger:thread" tenancy.slug topic.pk %}'
    for slug in ("northwind", "aurora"):
        html = render_skeleton("page", {}, {"tenancy.slug": slug, "topic.pk": 7})
        assert html == f"/{slug}/messenger/topics/7/"
    assert asked == ["page"]


def test_each_language_has_an_outline_of_its_own(written: Any) -> None:
    written[0]["page"] = '{% translate "Monday" %} {{ name }}'
    assert render_skeleton("page", {}, {"name": "Ann"}) == "Monday Ann"
    with translation.override("de"):
        assert render_skeleton("page", {}, {"name": "Ann"}) == "Montag Ann"


def test_a_number_within_a_link_is_filled_in(written: Any) -> None:
    written[0]["page"] = '{% url "messenger:thread" "northwind" pk %}'
    for pk in (7, 123_456_789):
        assert render_skeleton("page", {}, {"pk": pk}) == f"/northwind/messenger/topics/{pk}/"


def test_two_hundred_outlines_do_not_hold_more_than_they_may(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache._skeletons, "_most", 10_000)
    written[0]["page"] = "{{ number }}" + "x" * 1_000
    for number in range(200):
        assert render_skeleton("page", {"number": number}, {}).startswith(str(number))
        assert len(page_cache._skeletons._values) <= 10


def test_a_skeleton_has_the_size_of_its_bytes(written: Any) -> None:
    written[0]["page"] = "{{ name }}" + "…" * 1_000
    render_skeleton("page", {}, {"name": "Ann"})
    assert page_cache._skeletons._size == len("…".encode()) * 1_000


def test_thread_list_and_search_are_compared_with_what_their_templates_make(
    cast: Cast, compared_templates: set[str]
) -> None:
    """In every test (tests/conftest.py); the search asks for an outline of its own besides, for its field."""
    bob = sign_in(cast.bob)
    for path in (thread(cast.payments), TOPICS, TOPICS + "search/"):
        assert bob.get(path).status_code == 200
    assert compared_templates == {
        "messenger/threads/thread.html",
        "messenger/topics/topics.html",
        "messenger/search/search.html",
        "messenger/search/_search_field.html",
    }


def test_a_placeholder_that_meets_a_condition_is_found_whoever_renders_the_skeleton(written: Any) -> None:
    written[0]["page"] = "{% if name == 'Ann' %}Hello{% endif %} {{ name }}"
    for module in (page_cache, responses, search_forms):  # the last two import the function by its name
        assert module.render_skeleton("page", {}, {"name": "Bob"}) == b" Bob"
        with pytest.raises(AssertionError):
            module.render_skeleton("page", {}, {"name": "Ann"})
