"""The specification as people would use it, in a real browser, on the stack that `make run` starts."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

# A mail usually arrives within a second; a busy machine may take longer.
MAIL_SECONDS = 30


# One process instead of five: each start of manage.py takes a second.
CREATE_TENANCY = """
import io, sys
from django.core.management import call_command
call_command("createtenancy", {slug!r}, name="Contoso Payroll")
for name in ("Dana Dvorak", "Alice Almeida", "Bob Brandt", "Charlie Chen"):
    roles = ["--administrator"] if name == "Dana Dvorak" else []
    sys.stdin = io.StringIO({password!r})
    email = name.split()[0].lower() + "@" + {slug!r} + ".example"
    call_command("createmember", {slug!r}, email, "--name", name, "--password-stdin", *roles)
"""


@pytest.mark.parametrize("javascript", ["with", "without"])
def test_the_whole_specification_works_in_a_browser(browser: Browser, stack: Stack, javascript: str) -> None:
    slug = f"contoso-{javascript}"
    stack.manage("shell", "--no-imports", "-c", CREATE_TENANCY.format(slug=slug, password=PASSWORD))
    dana, alice, bob, charlie = (
        Person(
            browser,
            stack.address,
            f"{name}@{slug}.example",
            PASSWORD,
            home=f"/{slug}/",
            java_script_enabled=javascript == "with",
        )
        for name in ("dana", "alice", "bob", "charlie")
    )

    def mails_to(name: str) -> int:
        return stack.caught_mails().count(f"{name}@{slug}.example")

    assert not bob.has_link("Messenger"), "it is not enabled yet"
    enable_messenger(dana)
    create_group(dana, "Global payroll", "Alice Almeida", "Bob Brandt")
    make_manager(dana, "Alice Almeida")
    assert dana.go(f"/{slug}/messenger/") == 404, "administrators in no group read nothing"
    assert charlie.go(f"/{slug}/messenger/") == 404, "Charlie is in no group"
    create_topic(alice, "Payments processing", "Global payroll", interval="30")

    bob.go(bob.home)
    bob.click("Messenger")
    bob.click("Payments processing")
    assert bob.sees("2 people in Global payroll will see this, whatever their payroll or user groups.")
    send(bob, "The **German** file is ready.")
    assert bob.page.locator("[data-sequence='1'] strong", has_text="German").is_visible()
    wait_until(lambda: mails_to("alice") == 1, MAIL_SECONDS, "the mail to Alice")
    bob.page.reload()
    assert bob.sees("E-mailed to 1 person")

    send(bob, "And the Portuguese one.")
    assert "Not e-mailed: less than a minute after the previous message (interval: 30 minutes)" in (
        bob.page.locator("[data-sequence='2']").inner_text()
    )
    alice.go(f"/{slug}/messenger/")
    alice.click("Payments processing")
    assert alice.sees("And the Portuguese one.")
    alice.page.wait_for_timeout(1_000)  # time for a mail that must not be sent
    assert mails_to("alice") == 1, "within the interval no mail is sent"
    assert mails_to("bob") == 0, "authors get no mail about their own messages"

    bob_thread = bob.page.url.partition("#")[0].removeprefix(stack.address)
    deactivate_topic(alice)
    assert bob.go(bob_thread) == 404
    bob.go(f"/{slug}/messenger/")
    assert not bob.sees("Payments processing")
    alice.click("Show inactive")
    assert alice.sees("Payments processing")


def enable_messenger(dana: Person) -> None:
    dana.click("System settings")
    dana.page.get_by_label("Enable messenger").check()
    dana.click("Save", "button")
    assert dana.sees("Messenger is on.")


def create_group(dana: Person, name: str, *users: str) -> None:
    dana.click("Messenger users")
    dana.click("Create new messenger group")
    assert dana.sees("Everyone in the group sees everything in it")
    dana.page.get_by_label("Name").fill(name)
    dana.page.get_by_label("Description").fill("Payments in all countries")
    for user in users:
        dana.page.get_by_label(user).check()
    dana.click("Create group", "button")
    assert dana.sees("Alice Almeida")
    dana.click("Group information")
    assert dana.sees("Payments in all countries")


def make_manager(dana: Person, name: str) -> None:
    dana.page.get_by_role("link", name="Users", exact=True).first.click()
    dana.click(name)
    assert dana.sees("Other roles")
    dana.page.get_by_label("Messenger manager").check()
    dana.click("Save", "button")
    assert dana.sees(f"The changes to {name} have been saved.")


def create_topic(alice: Person, name: str, group: str, interval: str) -> None:
    alice.go(alice.home)
    alice.click("Messenger")
    alice.click("Create new topic")
    alice.page.get_by_role("button", name="How message notifications work").click()
    assert alice.sees("A busy topic stays silent.")
    alice.page.keyboard.press("Escape")
    assert not alice.sees("A busy topic stays silent.")
    alice.page.get_by_label("Messenger group").select_option(group)
    alice.page.get_by_label("Topic name").fill(name)
    alice.page.locator("[name=notification_interval_0]").fill(interval)
    alice.click("Create topic", "button")
    assert alice.sees("has been created")


def send(person: Person, text: str) -> None:
    count = person.page.locator("[data-sequence]").count()
    person.page.get_by_label("Message", exact=True).fill(text)
    person.click("Send", "button")
    person.page.locator(f"[data-sequence='{count + 1}']").wait_for()


def deactivate_topic(alice: Person) -> None:
    alice.click("Edit settings")
    alice.page.get_by_label("Active").uncheck()
    alice.click("Save settings", "button")
    assert alice.sees("have been saved")


def test_bob_sees_alices_message_appear_without_reloading(browser: Browser, stack: Stack) -> None:
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    bob = Person(browser, stack.address, "bob@northwind.example", PASSWORD)
    for person in (alice, bob):
        person.go("/northwind/messenger/")
        person.click("Year-end closing")
    send(alice, "Did you see the new tables?")
    bob.page.get_by_text("Did you see the new tables?").wait_for()
    assert bob.page.get_by_text("Did you see the new tables?").count() == 1
    assert alice.page.get_by_text("Did you see the new tables?").count() == 1, "received twice, shown once"


def test_removing_a_member_clears_the_thread_on_their_screen(browser: Browser, stack: Stack) -> None:
    grace = Person(browser, stack.address, "grace@northwind.example", PASSWORD)
    dana = Person(browser, stack.address, "dana@northwind.example", PASSWORD)
    grace.go("/northwind/messenger/")
    grace.click("Payments processing")
    assert grace.page.locator("[data-sequence]").count() > 0
    dana.go("/northwind/administration/user-groups/messenger-users/")
    dana.click("Global payroll")
    dana.page.get_by_role("link", name="Edit", exact=True).click()
    dana.page.get_by_label("Grace Okafor").uncheck()
    dana.click("Save", "button")
    grace.page.get_by_text("This topic is no longer available to you.").wait_for()
    assert grace.page.locator("[data-sequence]").count() == 0


def test_text_typed_while_signed_out_can_be_sent_after_signing_in(browser: Browser, stack: Stack) -> None:
    hiro = Person(browser, stack.address, "hiro@northwind.example", PASSWORD)
    hiro.go("/northwind/messenger/")
    with hiro.page.expect_response(re.compile(r"/messages/\?since=")):  # sent when the stream is open
        hiro.click("Year-end closing")
    hiro.page.context.clear_cookies()
    field = hiro.page.get_by_label("Message", exact=True)
    field.fill("Typed with care")
    hiro.click("Send", "button")
    hiro.page.get_by_text("You are signed out.").wait_for()
    assert field.input_value() == "Typed with care"
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    alice.go("/northwind/messenger/")
    alice.click("Year-end closing")
    alice.page.get_by_label("Message", exact=True).fill("Who is signed out?")
    alice.click("Send", "button")
    alice.page.locator(".message-body", has_text="Who is signed out?").wait_for()
    assert hiro.page.get_by_text("You are signed out.").is_visible()
    assert not hiro.page.locator(".message-body").first.is_visible(), "nobody reads on in a tab whose session ended"

    with hiro.page.context.expect_page() as opened:
        hiro.click("Sign in again")
    other = opened.value
    other.fill("[name=login]", "hiro@northwind.example")
    other.fill("[name=password]", PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.wait_for_url("**/northwind/**")
    hiro.click("Send", "button")
    hiro.page.locator(".message-body", has_text="Typed with care").wait_for()
    assert field.input_value() == ""


@pytest.mark.parametrize(("width", "appearance"), [(390, "dark"), (1280, "light")])
def test_no_page_scrolls_sideways_logs_an_error_or_fails_axe(
    browser: Browser, stack: Stack, width: int, appearance: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context: dict[str, Any] = {"viewport": {"width": width, "height": 800}, "color_scheme": appearance}
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD, **context)
    dana = Person(browser, stack.address, "dana@northwind.example", PASSWORD, **context)
    trouble: list[str] = []
    for person in (alice, dana):
        person.page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
        person.page.on("pageerror", lambda error: trouble.append(str(error)))
    base = "/northwind/administration"
    alice.go("/northwind/messenger/")
    thread = (alice.page.locator(".topic-name a").first.get_attribute("href") or "").partition("#")[0]
    dana.go(f"{base}/user-groups/messenger-users/")
    group = dana.page.locator(".list-name").first.get_attribute("href") or ""
    dana.go(f"{base}/users/")
    user = dana.page.locator(".list-name").first.get_attribute("href") or ""
    pages = [
        (alice, ["/northwind/", "/northwind/messenger/", "/northwind/messenger/?inactive=1",
                 "/northwind/messenger/?q=nothing", thread, f"{thread}edit/", "/northwind/messenger/topics/new/",
                 "/northwind/messenger/preferences/", "/northwind/messenger/search/",
                 "/northwind/messenger/search/?q=the&author=a&since=2020-01-01", "/northwind/messenger/search/?q=--",
                 f"{thread}messages/1/record/",
                 f"{thread}messages/1/", f"{thread}messages/1/remove/",
                 "/accounts/profile/", "/accounts/password/change/"]),
        (dana, [f"{base}/", f"{base}/users/", user, f"{base}/users/new/", f"{base}/system/settings/features/",
                f"{base}/system/settings/notifications/",
                f"{base}/system/settings/messages/",
                f"{base}/system/e-mails/",
                f"{base}/user-groups/messenger-users/", group, f"{group}users/", f"{group}edit/",
                f"{base}/user-groups/messenger-users/new/"]),
    ]  # fmt: skip
    for person, paths in pages:
        for path in paths:
            assert person.go(path) == 200, path
            root = "document.documentElement"
            overflow = person.page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
            assert overflow <= 0, f"{path} scrolls sideways by {overflow} pixels"
            violations = Axe().run(person.page).response["violations"]
            assert not violations, f"{path}: " + "; ".join(
                f"{found['id']} at {[node['target'] for node in found['nodes']]}" for found in violations
            )
            assert not trouble, f"{path}: {trouble}"
