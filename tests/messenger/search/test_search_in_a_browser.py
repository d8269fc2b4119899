"""The search page in a real browser: what fits on a phone's screen, filters by keyboard, and no findings by axe."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

SEARCH = "/northwind/messenger/search/"
PHONE = {"width": 390, "height": 844}
FILTERS = ("Messenger group", "Topic", "Written by", "Start date", "End date")


def at(browser: Browser, stack: Stack, query: str, **context: Any) -> Page:
    person = Person(browser, stack.address, "alice@northwind.example", PASSWORD, **context)
    assert person.go(SEARCH + query) == 200
    return person.page


def visible_filters(page: Page) -> list[str]:
    return [name for name in FILTERS if page.get_by_label(name, exact=True).is_visible()]


def test_on_a_phone_the_first_hit_is_on_the_screen_and_the_filters_open_without_javascript(
    browser: Browser, stack: Stack
) -> None:
    page = at(browser, stack, "?q=the", viewport=PHONE, java_script_enabled=False)
    expect(page.get_by_label("Search for")).to_be_in_viewport()
    expect(page.get_by_role("button", name="Search", exact=True)).to_be_in_viewport()
    expect(page.locator(".hit").first).to_be_in_viewport(ratio=1)
    assert visible_filters(page) == []
    page.get_by_text("Filter by group").click()
    assert visible_filters(page) == [*FILTERS]
    page.get_by_label("Written by").fill("nobody of this name")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("No matching messages in your topics.")).to_be_visible()
    assert visible_filters(page) == [*FILTERS], "they stay open while one of them is filled in"


def test_on_a_wide_screen_the_filters_are_always_visible(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "?q=the", viewport={"width": 1280, "height": 800})
    assert visible_filters(page) == [*FILTERS]
    expect(page.get_by_text("Filter by group")).to_be_hidden()
    page.get_by_label("Search for").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_label("Written by")).to_be_focused()
    page.keyboard.type("nobody of this name")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No matching messages in your topics.")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_in_hits_filters_and_errors(browser: Browser, stack: Stack, scheme: str, width: int) -> None:
    page = at(browser, stack, "?q=the", viewport={"width": width, "height": 844}, color_scheme=scheme)
    for query in ("?q=the", "?q=the&author=a", "?q=the&since=x&topic=999999"):
        page.goto(stack.address + SEARCH + query)
        assert [violation["id"] for violation in Axe().run(page).response["violations"]] == [], query
        assert page.evaluate("document.documentElement.scrollWidth") <= width
