"""Arabic and Hebrew messages as a browser lays them out."""

import pytest
from playwright.sync_api import Browser, expect

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

TEXT = """> مرحبا بالجميع

The same in English

- שלום לכולם
- Hello

> A quote in English"""
LAYOUT = """row => [...row.querySelectorAll(".message-body :is(blockquote, p, ul, li)")].map((part) => {
    const style = getComputedStyle(part);
    return [part.localName, style.direction, parseInt(style.borderLeftWidth), parseInt(style.borderRightWidth)];
})"""


def test_each_block_of_a_message_runs_in_its_own_direction(browser: Browser, stack: Stack) -> None:
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    alice.go("/northwind/messenger/")
    alice.click("Company cars")
    body = alice.page.get_by_label("Message", exact=True)
    body.fill("שלום")
    assert body.evaluate("field => getComputedStyle(field).direction") == "rtl"
    body.fill(TEXT)
    alice.click("Send", "button")
    row = alice.page.locator("[data-sequence]", has_text="The same in English")
    expect(row).to_be_visible()
    assert row.evaluate(LAYOUT) == [
        ["blockquote", "rtl", 0, 3],
        ["p", "rtl", 0, 0],
        ["p", "ltr", 0, 0],
        ["ul", "rtl", 0, 0],
        ["li", "rtl", 0, 0],
        ["li", "ltr", 0, 0],
        ["blockquote", "ltr", 3, 0],
        ["p", "ltr", 0, 0],
    ]
