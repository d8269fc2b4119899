"""Page skeletons: what is filled in, and what must never be."""

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


def render_skeleton(template: str, variant: dict[str, Any], values: dict[str, PlaceholderValue]) -> str:
    return page_cache.render_skeleton(template, variant, values).decode()


@pytest.fixture
def templates(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The sources of templates by their names, to be set by a test, and the names of the templates loaded."""
    sources: dict[str, str] = {}
    loaded: list[str] = []

    def get_template(name: str) -> Any:
        loaded.append(name)
        return engines["django"].from_string(sources[name])

    monkeypatch.setattr(page_cache, "get_template", get_template)
    page_cache._skeletons.clear()
    yield sources, loaded
    page_cache._skeletons.clear()


def test_a_template_is_rendered_once_and_then_filled_in(templates: Any) -> None:
    sources, loaded = templates
    sources["page"] = "{% if manages %}<b>{% endif %}{{ topic.name }} {{ topic.pk|stringformat:'d' }} {{ topic.name }}"
    assert render_skeleton("page", {"manages": True}, {"topic.name": "One", "topic.pk": 1}) == "<b>One 1 One"
    assert render_skeleton("page", {"manages": True}, {"topic.name": "Two", "topic.pk": 22}) == "<b>Two 22 Two"
    assert loaded == ["page"]
    assert render_skeleton("page", {"manages": False}, {"topic.name": "Two", "topic.pk": 22}) == "Two 22 Two"
    assert loaded == ["page", "page"]


def test_values_are_escaped_unless_marked_as_safe(templates: Any) -> None:
    templates[0]["page"] = "{{ text }}"
    for _ in range(2):
        assert render_skeleton("page", {}, {"text": "<b>&'\""}) == "&lt;b&gt;&amp;&#x27;&quot;"
        assert render_skeleton("page", {}, {"text": mark_safe("<b>")}) == "<b>"
        assert render_skeleton("page", {}, {"text": "<b>ø</b>".encode()}) == "<b>ø</b>"


def test_a_value_that_looks_like_a_placeholder_is_not_filled_in(templates: Any) -> None:
    templates[0]["page"] = "{{ one }}{{ two }}"
    for value in (f"{page_cache._LETTERS}001", f"{page_cache._DIGITS}001"):
        assert render_skeleton("page", {}, {"one": value, "two": "secret"}) == f"{value}secret"


def test_escaped_names_are_cached_and_long_texts_are_not(templates: Any) -> None:
    templates[0]["page"] = "{{ text }}"
    page_cache._escaped.cache_clear()
    for cached, text in ((1, "R&D"), (1, "R&D"), (1, "&" * 1_000_000)):
        assert render_skeleton("page", {}, {"text": text}) == text.replace("&", "&amp;")
        assert page_cache._escaped.cache_info().currsize == cached


def test_the_context_of_a_skeleton_contains_only_the_given_values(templates: Any) -> None:
    templates[0]["page"] = "[{{ request }}{{ user }}{{ messages }}{{ name }}]"
    assert render_skeleton("page", {}, {"name": "Ann"}) == "[Ann]"


def test_tenancies_share_their_skeletons(templates: Any) -> None:
    sources, loaded = templates
    sources["page"] = '{% url "messenger:thread" tenancy.slug topic.pk %}'
    for slug in ("northwind", "aurora"):
        html = render_skeleton("page", {}, {"tenancy.slug": slug, "topic.pk": 7})
        assert html == f"/{slug}/messenger/topics/7/"
    assert loaded == ["page"]


def test_each_language_has_its_own_skeleton(templates: Any) -> None:
    templates[0]["page"] = '{% translate "Monday" %} {{ name }}'
    assert render_skeleton("page", {}, {"name": "Ann"}) == "Monday Ann"
    with translation.override("de"):
        assert render_skeleton("page", {}, {"name": "Ann"}) == "Montag Ann"


def test_a_number_in_a_link_is_filled_in(templates: Any) -> None:
    templates[0]["page"] = '{% url "messenger:thread" "northwind" pk %}'
    for pk in (7, 123_456_789):
        assert render_skeleton("page", {}, {"pk": pk}) == f"/northwind/messenger/topics/{pk}/"


def test_the_cache_of_skeletons_stays_within_its_limit(templates: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_cache._skeletons, "_max_size", 10_000)
    templates[0]["page"] = "{{ number }}" + "x" * 1_000
    for number in range(200):
        assert render_skeleton("page", {"number": number}, {}).startswith(str(number))
        assert len(page_cache._skeletons._values) <= 10


def test_the_size_of_a_skeleton_is_its_number_of_bytes(templates: Any) -> None:
    templates[0]["page"] = "{{ name }}" + "…" * 1_000
    render_skeleton("page", {}, {"name": "Ann"})
    assert page_cache._skeletons._size == len("…".encode()) * 1_000


def test_thread_list_and_search_are_compared_with_their_templates(cast: Cast, compared_templates: set[str]) -> None:
    """In every test (tests/conftest.py). The search page renders a second skeleton, for its field."""
    bob = sign_in(cast.bob)
    for path in (thread(cast.payments), TOPICS, TOPICS + "search/"):
        assert bob.get(path).status_code == 200
    assert compared_templates == {
        "messenger/threads/thread.html",
        "messenger/topics/topics.html",
        "messenger/search/search.html",
        "messenger/search/_search_field.html",
    }


def test_a_placeholder_in_a_condition_is_detected_for_every_caller(templates: Any) -> None:
    templates[0]["page"] = "{% if name == 'Ann' %}Hello{% endif %} {{ name }}"
    for module in (page_cache, responses, search_forms):  # the last two import the function by its name
        assert module.render_skeleton("page", {}, {"name": "Bob"}) == b" Bob"
        with pytest.raises(AssertionError):
            module.render_skeleton("page", {}, {"name": "Ann"})
