"""Charts in a real browser: they show the table's numbers in the theme's colours, and follow the typed interval."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person, chromium, chromium_or_skip
from tests.support.stack import Stack, running_stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    chromium_or_skip()
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")
def browser(stack: Stack) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def open_settings(browser: Browser, stack: Stack, **context: Any) -> Person:
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD, **context)
    alice.go("/northwind/messenger/")
    link = alice.page.locator(".topic-name a", has_text="Payments processing")
    thread = (link.get_attribute("href") or "").partition("#")[0]
    assert alice.go(f"{thread}edit/") == 200
    return alice


def test_typing_another_interval_updates_the_table_and_highlights_its_row(browser: Browser, stack: Stack) -> None:
    alice = open_settings(browser, stack)
    chosen = alice.page.locator("#replay-table tr.figures-chosen")
    assert "30 minutes" in chosen.inner_text()
    alice.page.locator("[name=notification_interval_0]").fill("45")
    alice.page.locator("#replay-table tr", has_text="45 minutes").wait_for()
    assert "45 minutes" in chosen.inner_text()
    assert "In use now" in alice.page.locator("#replay-table tr", has_text="30 minutes").inner_text()
    alice.page.locator("[name=notification_interval_1]").select_option("hours")
    alice.page.locator("#replay-table tr", has_text="1 day 21 hours").wait_for()
    assert "1 day 21 hours" in chosen.inner_text()
    assert "With an interval of 1 day 21 hours" in alice.page.locator("[data-replay-status]").inner_text()
    alice.page.locator("[name=notification_interval_0]").fill("")
    alice.page.locator(".replay-problem", has_text="Enter a number, for example 90 or 1.5.").wait_for()
    assert chosen.count() == 0
    assert alice.page.locator("#replay-table").is_visible(), "an incomplete number does not remove the table"
    alice.page.reload()
    assert "30 minutes" in chosen.inner_text(), "nothing was saved"


def test_the_interval_can_be_changed_only_while_notifications_are_on(browser: Browser, stack: Stack) -> None:
    alice = open_settings(browser, stack)
    number, unit = (alice.page.locator(f"[name=notification_interval_{part}]") for part in (0, 1))
    for is_on in (False, True, False):
        alice.page.get_by_label("Enable message notifications").set_checked(is_on)
        assert (number.is_enabled(), unit.is_enabled()) == (is_on, is_on)
    alice.click("Save settings", "button")
    alice = open_settings(browser, stack)
    assert not alice.page.get_by_label("Enable message notifications").is_checked()
    assert alice.page.locator("[name=notification_interval_0]").input_value() == "30", "kept"
    alice.page.get_by_label("Enable message notifications").check()
    alice.click("Save settings", "button")


def open_health(browser: Browser, stack: Stack, **context: Any) -> Person:
    dana = Person(browser, stack.address, "dana@northwind.example", PASSWORD, **context)
    assert dana.go("/northwind/administration/system/e-mails/") == 200
    return dana


# Whether the canvas of the page contains a colour, given as "red,green,blue".
CONTAINS_COLOUR = """(colour) => {
    const canvas = document.querySelector("[data-chart]");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) if (data.slice(i, i + 3).join() === colour) return true;
    return false;
}"""
LIGHT, DARK = "15,107,92", "105,205,185"  # the theme's accent: #0f6b5c, #69cdb9


@pytest.mark.parametrize("open_page", [open_settings, open_health])
def test_a_chart_is_drawn_in_the_colours_of_the_light_and_the_dark_theme(
    browser: Browser, stack: Stack, open_page: Callable[..., Person]
) -> None:
    page = open_page(browser, stack, color_scheme="light", reduced_motion="reduce").page
    page.wait_for_function(CONTAINS_COLOUR, arg=LIGHT)
    assert not page.evaluate(CONTAINS_COLOUR, DARK), "or the test proves nothing"
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(CONTAINS_COLOUR, arg=DARK)
    assert not page.evaluate(CONTAINS_COLOUR, LIGHT)


def test_without_javascript_only_the_table_is_visible(browser: Browser, stack: Stack) -> None:
    alice = open_settings(browser, stack, java_script_enabled=False)
    assert alice.page.locator("#replay-table").is_visible()
    assert not alice.page.locator("canvas").is_visible()
