"""Two people at one browser: the tab of the first sends nothing as the second and shows them no message."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ippex_messenger.demo.people import PASSWORD
from tests.messenger.threads.test_living_thread import at, choose, write
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

TOPIC = "Company cars and meal vouchers"


def field(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def sign_in_instead(page: Page, stack: Stack, name: str) -> None:
    """In another tab of the same browser: the first one signs out, somebody else signs in."""
    page.goto(f"{stack.address}/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(lambda url: "/accounts/logout" not in url)
    page.goto(f"{stack.address}/accounts/login/")
    page.fill("[name=login]", f"{name}@northwind.example")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/accounts/login" not in url)


@pytest.fixture
def bob(browser: Browser, stack: Stack) -> Person:
    bob = at(browser, stack, "bob", TOPIC)
    expect(bob.page.locator("[data-sequence]").first).to_be_visible()
    return bob


def test_what_is_typed_in_a_tab_of_another_person_is_not_sent_and_stays(bob: Person, stack: Stack) -> None:
    page, other_tab = bob.page, bob.page.context.new_page()
    sign_in_instead(other_tab, stack, "alice")
    field(page).fill("Typed in Bob's tab")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("You are now signed in as Alice")).to_be_visible()
    expect(field(page)).to_have_value("Typed in Bob's tab")
    expect(page.locator("[data-sequence]")).to_have_count(0)
    other_tab.goto(page.url)
    expect(other_tab.locator("[data-sequence]").first).to_be_visible()
    expect(other_tab.get_by_text("Typed in Bob's tab")).to_have_count(0)
    sign_in_instead(other_tab, stack, "bob")
    expect(page.locator("[data-sequence]").first).to_be_visible(timeout=20_000)
    expect(page.get_by_text("You are now signed in as Alice")).to_be_hidden()
    write(bob, "Sent as Bob after all")
    row = page.locator("[data-sequence]", has_text="Sent as Bob after all")
    expect(row).to_have_count(1)
    expect(row.locator(".message-author")).to_contain_text("Bob")


def test_the_messages_leave_a_tab_whose_session_ended_or_changed(bob: Person, stack: Stack) -> None:
    page, other_tab = bob.page, bob.page.context.new_page()
    count = page.locator("[data-sequence]").count()
    assert count > 1, "or the test proves nothing"
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    page.evaluate("dispatchEvent(new Event('online'))")  # so that it asks at once
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    expect(page.locator("[data-sequence]")).to_have_count(0)
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    expect(page.locator("[data-sequence]")).to_have_count(count)
    expect(page.get_by_text("You are signed out.")).to_be_hidden()
    sign_in_instead(other_tab, stack, "alice")
    expect(page.get_by_text("You are now signed in as Alice")).to_be_visible(timeout=20_000)  # its stream ended
    expect(page.locator("[data-sequence]")).to_have_count(0)


def test_an_edit_in_a_tab_of_another_person_stays_in_its_dialog(bob: Person, stack: Stack) -> None:
    write(bob, "To be edited by Bob alone")
    choose(bob, "To be edited by Bob alone", "Edit")
    dialog = bob.page.get_by_role("dialog")
    dialog.get_by_label("Message").fill("Edited by whom?")
    sign_in_instead(bob.page.context.new_page(), stack, "alice")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.get_by_role("alert")).to_contain_text("You are now signed in as Alice")
    expect(dialog.get_by_label("Message")).to_have_value("Edited by whom?")


def test_a_topic_list_leaves_the_tab_when_somebody_else_signs_in(browser: Browser, stack: Stack) -> None:
    bob = at(browser, stack, "bob", "")
    expect(bob.page.locator(".main-menu-self-name")).to_contain_text("Bob")
    sign_in_instead(bob.page.context.new_page(), stack, "alice")
    # Alice's list, or the sign-in page if the tab noticed while nobody was signed in.
    expect(bob.page.locator(".main-menu-self-name", has_text="Bob")).to_have_count(0, timeout=20_000)
