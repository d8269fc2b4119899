"""Single-key shortcuts in a real browser: what each does, where they are inactive, and how to turn them off."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

LIST = "/northwind/messenger/"
KEYS = {"?", "/", "t", "j", "k", "n", "m", "q", "e", "r"}


def at(browser: Browser, stack: Stack, name: str, topic: str = "", **context: Any) -> Page:
    person = Person(browser, stack.address, f"{name}@northwind.example", PASSWORD, **context)
    person.go(LIST)
    if topic:
        person.click(topic)
        expect(person.page.get_by_role("heading", level=1)).to_have_text(topic)
    if context.get("java_script_enabled", True):
        person.page.wait_for_selector(
            "[data-shortcuts-open]:not([hidden])", state="attached"
        )  # the scripts have loaded
    return person.page


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def help_dialog(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Keyboard shortcuts")


def focused_message(page: Page) -> int:
    """The sequence number of the message that has the focus, or 0."""
    row = "document.activeElement.closest('[data-sequence]').dataset.sequence"
    found = page.evaluate(f"document.activeElement.matches('article') && {row}")
    return int(found or 0)


def focused_topic(page: Page) -> str:
    return str(page.evaluate("document.activeElement.closest('.topic-name a')?.textContent ?? ''"))


def write(page: Page, text: str) -> Locator:
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Control+Enter")
    row = page.locator("[data-sequence]", has_text=text)
    expect(row).to_be_visible()
    return row


def axe_violations(page: Page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    violations = Axe().run(page).response["violations"]
    return [f"{violation['id']} at {[node['target'] for node in violation['nodes']]}" for violation in violations]


# -- The dialog ------------------------------------------------------------------------------------------


def test_the_help_lists_each_key_and_restores_the_focus(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice")
    press(page, "j")
    topic = focused_topic(page)
    assert topic
    press(page, "?")
    expect(help_dialog(page)).to_be_visible()
    assert {key.strip() for key in help_dialog(page).locator("kbd").all_inner_texts()} == KEYS | {
        "Esc",
        "Enter",
        "Ctrl",
    }
    press(page, "k", "t", "Escape")
    expect(help_dialog(page)).to_be_hidden()
    assert focused_topic(page) == topic, "the keys did nothing behind the dialog, and the focus is restored"


@pytest.mark.parametrize("way", ["button", "outside"])
def test_the_help_opens_from_the_main_menu_and_closes_with_the_mouse(browser: Browser, stack: Stack, way: str) -> None:
    page = at(browser, stack, "alice")
    entry = page.get_by_role("button", name="Keyboard shortcuts")
    entry.click()
    expect(help_dialog(page)).to_be_visible()
    if way == "button":
        help_dialog(page).get_by_role("button", name="Close").click()
    else:
        page.mouse.click(5, 5)
    expect(help_dialog(page)).to_be_hidden()
    expect(entry).to_be_focused()


def test_on_a_phone_the_focus_returns_to_the_menu_button(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", viewport={"width": 390, "height": 800})
    page.get_by_role("button", name="Main menu").click()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    expect(help_dialog(page)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    press(page, "Escape")
    expect(help_dialog(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Main menu")).to_be_focused()


def test_without_javascript_shortcuts_are_not_offered(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", java_script_enabled=False)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_hidden()
    expect(page.locator("#shortcuts")).to_be_hidden()


@pytest.mark.parametrize("appearance", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_in_the_help(browser: Browser, stack: Stack, appearance: str, width: int) -> None:
    page = at(browser, stack, "alice", color_scheme=appearance, viewport={"width": width, "height": 800})
    press(page, "?")
    expect(help_dialog(page)).to_be_visible()
    assert axe_violations(page) == []


# -- On and off ------------------------------------------------------------------------------------------


def test_when_turned_off_keys_do_nothing_even_after_a_reload(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "bob")
    press(page, "j")
    assert focused_topic(page), "they are on at first"
    press(page, "?")
    help_dialog(page).get_by_role("switch", name="Use single-key shortcuts").uncheck()
    press(page, "Escape")
    for _ in range(2):
        page.evaluate("document.activeElement.blur()")
        press(page, "j", "n", "/", "?")
        assert page.evaluate("document.activeElement === document.body")
        expect(help_dialog(page)).to_be_hidden()
        page.reload()
    page.get_by_role("button", name="Keyboard shortcuts").click()
    switch = help_dialog(page).get_by_role("switch", name="Use single-key shortcuts")
    expect(switch).not_to_be_checked()
    switch.check()
    press(page, "Escape", "?")
    expect(help_dialog(page)).to_be_visible()


# -- Where keys do nothing --------------------------------------------------------------------------------


def test_keys_do_nothing_while_the_user_types(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", "Daily cut-off")
    address = page.url
    everything = "".join(sorted(KEYS))
    field = page.get_by_label("Message", exact=True)
    field.focus()
    page.keyboard.type(everything)
    expect(field).to_have_value(everything)
    expect(field).to_be_focused()
    expect(help_dialog(page)).to_be_hidden()
    assert page.url == address
    field.fill("")
    page.goto(stack.address + LIST)
    search = page.get_by_label("Search topics")
    search.focus()
    page.keyboard.type(everything)
    expect(search).to_have_value(everything)
    expect(search).to_be_focused()


def test_keys_do_nothing_with_ctrl_alt_or_meta_or_during_composition(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice")
    taken = page.evaluate("""() => {
      const isTaken = (options) => !document.body.dispatchEvent(
        new KeyboardEvent("keydown", { key: "j", bubbles: true, cancelable: true, ...options }));
      const ways = ["ctrlKey", "altKey", "metaKey", "isComposing"].filter((way) => isTaken({ [way]: true }));
      return [ways, isTaken({})];
    }""")
    assert taken == [[], True], "only the key alone is a shortcut"


def test_keys_do_nothing_while_a_menu_is_open(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", "Daily cut-off")
    press(page, "k")
    here = focused_message(page)
    press(page, "m")
    expect(page.locator(".message-menu")).to_be_visible()
    press(page, "k", "r", "?")
    expect(help_dialog(page)).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('.message-menu') !== null"), "the menu keeps the focus"
    press(page, "Escape")
    expect(page.locator(".message-menu")).to_have_count(0)
    press(page, "k")
    assert focused_message(page) == here - 1, "once it is closed, k moves on from its message"


# -- In a thread ------------------------------------------------------------------------------------------


def test_j_and_k_move_the_focus_between_messages_and_scroll_them_into_view(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", "Daily cut-off")
    write(page, "The last of the thread.")
    press(page, "Escape")
    last = focused_message(page)
    assert last == int(page.locator("[data-sequence]").last.get_attribute("data-sequence") or 0)
    press(page, "k", "k")
    assert focused_message(page) == last - 2
    press(page, "j")
    assert focused_message(page) == last - 1
    for _ in range(last):
        press(page, "k")
        seen = page.evaluate("""() => {
          const box = document.activeElement.getBoundingClientRect();
          const head = document.querySelector(".page-top").getBoundingClientRect().bottom;
          const foot = document.querySelector(".thread-bottom").getBoundingClientRect().top;
          return box.top >= head - 1 && (box.bottom <= foot + 1 || box.height > foot - head);
        }""")
        assert seen, f"message {focused_message(page)} is covered by the header or the composer"
    assert focused_message(page) == 1


def test_the_accessible_name_of_a_focused_message_is_its_author_time_and_text(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "bob", "Daily cut-off")
    write(page, "Heard as well as seen.")
    press(page, "Escape")
    expect(page.locator("article:focus")).to_have_accessible_name(
        re.compile(r"^Bob .* \d\d:\d\d Heard as well as seen\.$")
    )
    assert axe_violations(page) == []


def test_a_focused_message_keeps_the_focus_when_it_is_replaced(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Daily cut-off"), at(browser, stack, "bob", "Daily cut-off")
    row = write(bob, "Soon worded otherwise.")
    expect(alice.get_by_text("Soon worded otherwise.")).to_be_visible()
    press(bob, "Escape")
    sequence = focused_message(bob)
    alice.locator(f"#message-{sequence} article").focus()
    expect(alice.locator("article:focus")).to_have_accessible_name(re.compile(r"^Bob .* Soon worded otherwise\.$"))
    row.locator("[data-message-menu]").click()
    bob.locator(".message-menu").get_by_text("Edit", exact=True).click()
    bob.get_by_role("dialog").get_by_label("Message").fill("Worded otherwise.")
    bob.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(alice.get_by_text("Worded otherwise.")).to_be_visible()
    assert focused_message(alice) == sequence
    expect(alice.locator("article:focus")).to_have_accessible_name(re.compile(r"^Bob .* Worded otherwise\.$"))


def test_e_edits_only_messages_of_the_reader(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "bob", "Daily cut-off")
    write(page, "Mine to edit.")
    press(page, "Escape", "e")
    field = page.get_by_role("dialog").get_by_label("Message")
    expect(field).to_have_value("Mine to edit.")
    field.fill("Mine, edited.")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.locator("[data-sequence]", has_text="Mine, edited.").get_by_text("edited", exact=True)).to_be_visible()
    other = page.locator("[data-sequence]:not(.message-own)").last
    other.locator("article").focus()
    with page.expect_response(re.compile(r"/messages/\d+/$")):
        press(page, "e")
    expect(page.locator(".message-menu")).to_have_count(0)
    expect(other.locator("article")).to_be_focused()
    assert page.get_by_role("dialog").count() == 0


def test_q_quotes_the_focused_message(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "bob", "Daily cut-off")
    write(page, "Worth quoting.")
    press(page, "Escape")
    press(page, "q")
    expect(page.get_by_label("Message", exact=True)).to_have_value(re.compile("> Worth quoting."))
    expect(page.get_by_label("Message", exact=True)).to_be_focused()


def test_r_moves_to_the_composer_and_escape_back_to_the_message(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", "Daily cut-off")
    press(page, "k", "k")
    here = focused_message(page)
    assert here
    press(page, "r")
    field = page.get_by_label("Message", exact=True)
    expect(field).to_be_focused()
    expect(field).to_have_value("")
    press(page, "Escape")
    assert focused_message(page) == here


# -- In the topic list ----------------------------------------------------------------------------------


def test_j_k_and_n_move_between_topics_and_enter_opens(browser: Browser, stack: Stack) -> None:
    writer, page = at(browser, stack, "alice", "Year-end closing"), at(browser, stack, "bob")
    write(writer, "Bob has not read this.")
    expect(page.locator(".topic-unread", has_text="Year-end closing")).to_be_visible()
    names = page.locator(".topic-name a").all_inner_texts()
    assert len(names) > 2, "or the test proves nothing"
    press(page, "j", "j", "k", "j")
    assert focused_topic(page) == names[1]
    press(page, "k", "k")
    assert focused_topic(page) == names[0], "the first one keeps the focus"
    page.evaluate("document.activeElement.blur()")
    press(page, "n")
    unread = page.locator(".topic-unread .topic-name a").all_inner_texts()
    assert focused_topic(page) == unread[0]
    press(page, "Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(unread[0])


# -- Everywhere ------------------------------------------------------------------------------------------


def test_t_opens_all_topics_and_slash_opens_the_search(browser: Browser, stack: Stack) -> None:
    page = at(browser, stack, "alice", "Daily cut-off")
    press(page, "t")
    page.wait_for_url(re.compile(f"{LIST}$"))
    press(page, "/")
    expect(page.get_by_label("Search topics")).to_be_focused()
    expect(page.get_by_label("Search topics")).to_have_value("")
    page.goto(stack.address + "/northwind/")
    press(page, "/")
    page.wait_for_url(re.compile(f"{LIST}search/$"))
    page.get_by_label("Messenger group").focus()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    press(page, "/")
    expect(page.get_by_label("Search for")).to_be_focused()
