"""Live updates in real browsers: unread marks, edits, removals, links to messages, open topic lists."""

import re

import pytest
from playwright.sync_api import APIResponse, Browser, Route, expect

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]


def at(browser: Browser, stack: Stack, name: str, topic: str) -> Person:
    person = Person(browser, stack.address, f"{name}@northwind.example", PASSWORD)
    person.go("/northwind/messenger/")
    if topic:
        person.click(topic)
    return person


def write(person: Person, text: str) -> None:
    person.page.get_by_label("Message", exact=True).fill(text)
    person.click("Send", "button")
    expect(person.page.locator("[data-sequence]", has_text=text)).to_be_visible()


def choose(person: Person, text: str, action: str) -> None:
    """Choose an action from the menu of the message with this text."""
    person.page.locator("[data-sequence]", has_text=text).locator("[data-message-menu]").click()
    person.page.locator(".message-menu").get_by_text(action, exact=True).click()


def edit(person: Person, old: str, new: str) -> None:
    choose(person, old, "Edit")
    person.page.get_by_role("dialog").get_by_label("Message").fill(new)
    person.page.get_by_role("dialog").get_by_role("button", name="Save").click()


def test_the_copied_link_to_a_message_opens_it(browser: Browser, stack: Stack) -> None:
    alice = at(browser, stack, "alice", "Payments processing")
    alice.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    write(alice, "Where is this?")
    choose(alice, "Where is this?", "Link to this message")
    expect(alice.page.locator(".message-menu")).to_contain_text("Link copied")
    expect(alice.page.locator(".message-menu")).to_have_count(0)  # it closes by itself
    link = alice.page.evaluate("navigator.clipboard.readText()")
    alice.page.goto(link)
    row = alice.page.locator("[data-sequence]", has_text="Where is this?")
    expect(row).to_be_in_viewport()
    assert row.evaluate("row => row.matches(':target')"), "highlighted"


# Simulates tabs in the background: in headless Chromium every page considers itself visible.
VISIBILITY_SWITCH = """
let isHidden = false;
Object.defineProperty(Document.prototype, "hidden", { get: () => isHidden });
window.setHidden = (value) => { isHidden = value; document.dispatchEvent(new Event("visibilitychange")); };
"""


def test_an_open_list_counts_new_messages_and_the_thread_opens_at_the_first(browser: Browser, stack: Stack) -> None:
    alice, kate = at(browser, stack, "alice", "Daily cut-off"), at(browser, stack, "kate", "")
    kate.page.get_by_role("button", name="Mark all as read").click()
    expect(kate.page.locator("[data-unread-topics]")).to_be_hidden()
    write(alice, "The first that Kate has not read.")
    write(alice, "The second.")
    row = kate.page.locator(".topic", has_text="Daily cut-off")
    expect(row.locator(".unread-badge")).to_have_text(re.compile("^2"))
    expect(kate.page.locator("[data-unread-topics] [data-count]")).to_have_text("1")
    expect(kate.page.locator(".topic").first).to_contain_text("Daily cut-off")
    with kate.page.expect_response(re.compile(r"/read/$")):  # what was displayed is reported as read
        kate.click("Daily cut-off")
    line = kate.page.locator(".new-line")
    expect(line).to_be_in_viewport()
    assert "The first that Kate" in str(line.evaluate("line => line.nextElementSibling.textContent"))
    kate.go("/northwind/messenger/")
    expect(kate.page.locator(".topic", has_text="Daily cut-off").locator(".unread-badge")).to_have_count(0)


def test_edits_and_removals_appear_in_place(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Year-end closing"), at(browser, stack, "bob", "Year-end closing")
    write(bob, "A tpyo of mine.")
    expect(alice.page.get_by_text("A tpyo of mine.")).to_be_visible()
    edit(bob, "A tpyo of mine.", "A typo of mine.")
    for person in (alice, bob):
        row = person.page.locator("[data-sequence]", has_text="A typo of mine.")
        expect(row).to_have_count(1)
        expect(row.get_by_text("edited", exact=True)).to_be_visible()
        expect(person.page.get_by_text("A tpyo of mine.")).to_have_count(0)
    alice.page.locator("[data-sequence]", has_text="A typo of mine.").get_by_text("edited", exact=True).click()
    expect(alice.page.get_by_role("dialog").get_by_text("A tpyo of mine.")).to_be_visible()
    alice.page.keyboard.press("Escape")
    choose(bob, "A typo of mine.", "Remove")
    bob.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(alice.page.get_by_text("This message was removed by its author.")).to_be_visible()
    expect(alice.page.get_by_text("A typo of mine.")).to_have_count(0)


def test_an_edit_of_a_message_that_is_being_loaded_is_not_missed(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Daily cut-off"), at(browser, stack, "bob", "Daily cut-off")
    write(bob, "Before it was loaded.")
    sequence = bob.page.locator("[data-sequence]", has_text="Before it was loaded.").get_attribute("data-sequence")
    write(bob, "What stands below it.")
    held: list[tuple[Route, APIResponse]] = []
    alice.page.route(re.compile(r"/messages/\?before="), lambda route: held.append((route, route.fetch())))
    with alice.page.expect_response(re.compile(r"/messages/\?since=")):
        alice.page.goto(f"{alice.page.url.partition('#')[0]}?after={sequence}")
    expect(alice.page.get_by_text("What stands below it.")).to_be_visible()
    expect(alice.page.get_by_text("Before it was loaded.")).to_have_count(0)
    alice.page.wait_for_timeout(500)
    ((route, answer),) = held
    edit(bob, "Before it was loaded.", "While it was loaded.")
    expect(bob.page.get_by_text("While it was loaded.")).to_be_visible()
    alice.page.wait_for_timeout(1000)  # by then the stream has sent her the edit of a message that she does not have
    route.fulfill(response=answer)
    expect(alice.page.get_by_text("While it was loaded.")).to_have_count(1)
    expect(alice.page.get_by_text("Before it was loaded.")).to_have_count(0)


def test_a_message_that_changes_under_a_pressed_button_still_opens_its_menu(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Year-end closing"), at(browser, stack, "bob", "Year-end closing")
    write(bob, "Not yet pressed.")
    edit(bob, "Not yet pressed.", "Nearly pressed.")
    row = alice.page.locator("[data-sequence]").last
    expect(row).to_contain_text("Nearly pressed.")
    row.locator("[data-message-menu]").hover()
    alice.page.mouse.down()
    edit(bob, "Nearly pressed.", "Changed while pressed.")
    expect(row).to_contain_text("Changed while pressed.")
    alice.page.mouse.up()
    expect(row.locator(".message-menu")).to_be_visible()
    choose(bob, "Changed while pressed.", "Remove")
    bob.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(row).to_contain_text("This message was removed by its author.")
    expect(row.locator(".message-menu")).to_be_visible()
    expect(row.locator(".message-edited")).to_have_count(0)


APPEARANCE = """line => [...line.children].map((part) => [
    part.className, part.hidden, part.querySelector("svg").outerHTML,
    part.textContent.replace(/\\(.* left\\)/, "").trim(),
])"""


def test_new_messages_and_forecasts_arrive_without_a_request(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Year-end closing"), at(browser, stack, "bob", "")
    requested: list[str] = []
    with bob.page.expect_response(re.compile(r"/messages/\?since=")):  # every page requests this when its stream opens
        bob.click("Year-end closing")
    bob.page.on("request", lambda request: requested.append(request.url))
    for text in ("Nobody asked for this.", "Nor for this."):
        write(alice, text)
        expect(bob.page.locator("[data-sequence]", has_text=text)).to_be_visible()
    line = bob.page.locator("[data-forecast]")
    expect(line).to_contain_text("No e-mail if you send now")
    expect(line.locator("[data-countdown]")).to_contain_text(re.compile("[0-9] (hr|min)s? left"))
    expect(line.locator("[data-then]")).to_be_hidden()
    live_appearance = line.evaluate(APPEARANCE)
    assert not [url for url in requested if "/messages/" in url], requested
    requested.clear()
    edit(alice, "Nor for this.", "Nor for that.")
    expect(bob.page.locator("[data-sequence]", has_text="Nor for that.")).to_have_count(1)
    assert not [url for url in requested if "/messages/" in url], requested
    bob.page.reload()
    assert line.evaluate(APPEARANCE) == live_appearance, "a live forecast looks like one that came with the page"


def test_a_thread_opens_at_the_message_from_which_it_was_marked_unread(browser: Browser, stack: Stack) -> None:
    bob = at(browser, stack, "bob", "")
    with bob.page.expect_response(re.compile(r"/read/$")):
        bob.click("Company cars and meal vouchers")
    choose(bob, "employer share rises", "Mark unread from here")
    expect(bob.page.locator(".topic", has_text="Company cars").locator(".unread-badge")).to_have_text(re.compile("^1"))
    bob.click("Company cars and meal vouchers")
    line = bob.page.locator(".new-line")
    expect(line).to_be_visible()
    assert "employer share rises" in str(line.evaluate("line => line.nextElementSibling.textContent"))


def test_messages_missed_while_offline_appear_afterwards_once_and_in_order(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Payments processing"), at(browser, stack, "bob", "Payments processing")
    bob.page.context.add_init_script(VISIBILITY_SWITCH)
    bob.page.reload()
    write(alice, "Before the tunnel.")
    expect(bob.page.get_by_text("Before the tunnel.")).to_be_visible()
    bob.page.context.set_offline(True)
    bob.page.evaluate("setHidden(true); setHidden(false)")  # going offline in Chromium does not close an open stream
    for text in ("In the tunnel, one.", "In the tunnel, two."):
        write(alice, text)
    choose(alice, "Before the tunnel.", "Edit")
    alice.page.get_by_role("dialog").get_by_label("Message").fill("Before the long tunnel.")
    alice.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(alice.page.get_by_text("Before the long tunnel.")).to_be_visible()
    expect(bob.page.get_by_text("The connection is lost.")).to_be_visible(timeout=20_000)
    bob.page.context.set_offline(False)
    expect(bob.page.get_by_text("In the tunnel, two.")).to_be_visible(timeout=20_000)
    expect(bob.page.get_by_text("Before the long tunnel.")).to_be_visible()
    expect(bob.page.get_by_text("The connection is lost.")).to_be_hidden()
    sequences = bob.page.locator("[data-sequence]").evaluate_all("rows => rows.map((row) => +row.dataset.sequence)")
    assert sequences == sorted(set(sequences))
    assert bob.page.get_by_text("In the tunnel, one.").count() == 1


def test_of_seven_open_tabs_the_visible_one_is_live(browser: Browser, stack: Stack) -> None:
    alice, bob = at(browser, stack, "alice", "Year-end closing"), at(browser, stack, "bob", "Year-end closing")
    # The address that the list links to if something is unread. In an open page only the fragment would change.
    context, address = bob.page.context, bob.page.url.partition("#")[0] + "#new"
    bob.page.close()
    context.add_init_script(VISIBILITY_SWITCH)
    tabs = [context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto(address)
        expect(tab.get_by_label("Message", exact=True)).to_be_visible()
        tab.evaluate("setHidden(true)")
    tabs[6].evaluate("setHidden(false)")
    write(alice, "Seven tabs?")
    expect(tabs[6].locator("[data-sequence]", has_text="Seven tabs?")).to_be_visible()
    tabs[6].evaluate("setHidden(true)")
    tabs[0].evaluate("setHidden(false)")
    expect(tabs[0].locator("[data-sequence]", has_text="Seven tabs?")).to_have_count(1)
    # The reason: a browser opens six connections to a host, so seven streams would block every other request.
    for tab in tabs:
        tab.evaluate("setHidden(false)")
    fetch_anything = """() => Promise.race([
        fetch("/healthz").then(() => "answered"), new Promise((resolve) => setTimeout(resolve, 2000, "stuck")),
    ])"""
    assert tabs[6].evaluate(fetch_anything) == "stuck"
    for tab in tabs:
        tab.evaluate("setHidden(true)")
    assert tabs[6].evaluate(fetch_anything) == "answered"


def test_on_a_phone_the_composer_stays_above_the_keyboard(browser: Browser, stack: Stack) -> None:
    grace = Person(
        browser,
        stack.address,
        "grace@northwind.example",
        PASSWORD,
        viewport={"width": 390, "height": 800},
        has_touch=True,
        is_mobile=True,
    )
    grace.go("/northwind/messenger/")
    grace.click("Payments processing")
    grace.page.goto(grace.page.url.partition("#")[0] + "?latest")
    page, field = grace.page, grace.page.get_by_label("Message", exact=True)
    content = page.locator("meta[name=viewport]").get_attribute("content")
    assert "interactive-widget=resizes-content" in str(content)  # so that a keyboard reduces the height of the page
    field.tap()
    page.set_viewport_size({"width": 390, "height": 430})
    field.fill("One\nTwo\nThree")
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport(ratio=1)
    expect(page.locator("[data-send]")).to_be_in_viewport(ratio=1)
    expect(page.locator("[data-sequence]").last).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_menu_of_the_last_message_opens_in_view(browser: Browser, stack: Stack) -> None:
    hiro = at(browser, stack, "hiro", "Payments processing")
    write(hiro, "Which menu?")
    hiro.page.locator("[data-message-menu]").last.click()
    menu = hiro.page.locator(".message-menu")
    expect(menu.locator("a, button").last).to_be_in_viewport(ratio=1)
    composer = hiro.page.locator(".thread-bottom").bounding_box()
    box = menu.bounding_box()
    assert box
    assert composer
    assert box["y"] + box["height"] <= composer["y"] + 1
