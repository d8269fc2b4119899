"""Writing a message in a real browser: drafts, preview, quotes, mentions by keyboard, accessibility by axe."""

import re
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from common.folding import fold
from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

DRAFT_HINT = "Draft saved on this device"
CREATE_TOPIC = """
from messenger.models import MessengerGroup, Topic
from tenancy.models import Member
alice = Member.objects.get(user__email="alice@northwind.example")
group = MessengerGroup.objects.visible_to(alice).visible_to(Member.objects.get(user__email="bob@northwind.example"))[0]
print(Topic.objects.create(tenancy=alice.tenancy, group=group, name={name!r}).pk)
"""


@pytest.fixture
def topic(stack: Stack, request: pytest.FixtureRequest) -> str:
    """The path of a topic that is used by this test alone."""
    shell = CREATE_TOPIC.format(name=request.node.name[:100])
    return f"/northwind/messenger/topics/{int(stack.manage('shell', '--no-imports', '-c', shell))}/"


@pytest.fixture
def alice(browser: Browser, stack: Stack) -> Person:
    return Person(browser, stack.address, "alice@northwind.example", PASSWORD)


def field(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def drafts(page: Page) -> list[str]:
    keys: list[str] = page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:'))")
    return keys


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(violation["id"], violation["nodes"][0]["html"]) for violation in violations] == []


# -- Drafts -----------------------------------------------------------------------------------------------------------


def test_a_draft_survives_a_reload_and_a_visit_to_another_topic_until_it_is_sent(alice: Person, topic: str) -> None:
    page = alice.page
    alice.go(topic)
    expect(page.get_by_text(DRAFT_HINT)).to_be_hidden()
    field(page).press_sequentially("Half a thou")
    expect(page.get_by_text(DRAFT_HINT)).to_be_visible()
    page.reload()
    expect(field(page)).to_have_value("Half a thou")
    expect(page.get_by_text(DRAFT_HINT)).to_be_visible()
    alice.go("/northwind/messenger/")
    row = page.locator(".topic", has=page.locator(f"a[href='{topic}']"))
    expect(row.get_by_text("Draft", exact=True)).to_be_visible()
    assert page.get_by_text("Draft", exact=True).locator("visible=true").count() == 1
    alice.click("Payments processing")
    expect(field(page)).to_have_value("")
    alice.go(topic)
    field(page).press_sequentially("ght.")
    expect(field(page)).to_have_value("Half a thought.")
    field(page).press("Control+Enter")
    expect(page.locator("[data-sequence='1']")).to_contain_text("Half a thought.")
    expect(page.get_by_text(DRAFT_HINT)).to_be_hidden()
    assert drafts(page) == []
    page.reload()
    expect(field(page)).to_have_value("")


def test_a_text_survives_a_refusal_or_a_lost_response_and_is_posted_once(alice: Person, topic: str) -> None:
    page = alice.page
    alice.go(topic)
    field(page).fill("x" * 10_001)
    button(page, "Send").click()
    expect(page.get_by_role("alert")).to_contain_text("1 character over the limit")
    page.reload()
    expect(field(page)).to_have_value("x" * 10_001)
    field(page).fill("Once only")
    # The request arrives, but the response is lost.
    page.route("**/messages/", lambda route: (route.fetch(), route.abort())[-1], times=1)
    button(page, "Send").click()
    expect(page.locator("[data-sequence]")).to_have_count(1)  # it still arrives by the stream
    page.reload()
    expect(field(page)).to_have_value("Once only")
    button(page, "Send").click()
    expect(field(page)).to_have_value("")
    page.reload()
    expect(page.locator("[data-sequence]")).to_have_count(1)


def test_two_tabs_share_a_draft_and_sending_it_clears_it_in_both(alice: Person, topic: str) -> None:
    alice.go(topic)
    other = alice.page.context.new_page()
    other.goto(alice.page.url)
    field(alice.page).fill("From the first tab")
    expect(field(other)).to_have_value("From the first tab")
    field(other).press("End")
    field(other).press_sequentially(", ended in the second")
    expect(field(alice.page)).to_have_value("From the first tab, ended in the second")
    button(other, "Send").click()
    expect(field(alice.page)).to_have_value("")


def sign_out_by_menu(page: Page) -> None:
    button(page, "Sign out").click()


def sign_out_by_page(page: Page) -> None:
    page.goto(re.sub(r"/northwind/.*", "/accounts/logout/", page.url))
    button(page, "Sign out").click()


@pytest.mark.parametrize("sign_out", [sign_out_by_menu, sign_out_by_page])
def test_signing_out_deletes_only_the_users_own_drafts_from_the_device(
    browser: Browser, stack: Stack, alice: Person, topic: str, sign_out: Callable[[Page], None]
) -> None:
    page = alice.page
    alice.go(topic)
    page.evaluate("localStorage.setItem('draft:999999:1:1', JSON.stringify({text: 'of another', at: Date.now()}))")
    field(page).fill("Confidential")
    assert len(drafts(page)) == 2, "or the test proves nothing"
    other_tab = page.context.new_page()
    other_tab.goto(page.url)
    expect(field(other_tab)).to_have_value("Confidential")
    sign_out(page)
    page.wait_for_url(lambda url: "/accounts/login" in url or url.rstrip("/") == stack.address)
    assert drafts(page) == ["draft:999999:1:1"]
    expect(field(other_tab)).to_have_value("")


def test_users_of_one_device_do_not_see_each_others_drafts(alice: Person, stack: Stack, topic: str) -> None:
    context: BrowserContext = alice.page.context
    alice.go(topic)
    field(alice.page).fill("Of Alice")
    context.clear_cookies()  # as if her session had expired
    page = context.new_page()
    page.goto(f"{stack.address}/accounts/login/?next={topic}")
    page.fill("[name=login]", "bob@northwind.example")
    page.fill("[name=password]", PASSWORD)
    button(page, "Sign in").click()
    expect(field(page)).to_have_value("")
    assert len(drafts(page)) == 1
    field(page).fill("Of Bob")
    assert len(drafts(page)) == 2


def test_a_draft_expires_after_thirty_days(alice: Person, topic: str) -> None:
    alice.go(topic)
    field(alice.page).fill("Long ago")
    age = "(days) => { for (const key of Object.keys(localStorage)) { const draft = JSON.parse(localStorage[key]);"
    age += " draft.at -= days * 864e5; localStorage[key] = JSON.stringify(draft); } }"
    alice.page.evaluate(age, 29)
    alice.page.reload()
    expect(field(alice.page)).to_have_value("Long ago")
    alice.page.evaluate(age, 31)
    alice.page.reload()
    expect(field(alice.page)).to_have_value("")
    assert drafts(alice.page) == []


def test_messages_can_be_sent_when_local_storage_is_full(alice: Person, topic: str) -> None:
    alice.page.add_init_script("Storage.prototype.setItem = () => { throw new Error('full'); }")
    alice.go(topic)
    field(alice.page).fill("Sent all the same")
    expect(alice.page.get_by_text(DRAFT_HINT)).to_be_hidden()
    button(alice.page, "Send").click()
    expect(alice.page.locator("[data-sequence='1']")).to_contain_text("Sent all the same")


# -- Preview ----------------------------------------------------------------------------------------------------------


def test_the_preview_replaces_the_text_field_and_restores_it(alice: Person, topic: str) -> None:
    page = alice.page
    alice.go(topic)
    field(page).fill("**Bold**\n\n- one\n- two")
    button(page, "Preview").click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview.locator("strong")).to_have_text("Bold")
    expect(preview.locator("li")).to_have_count(2)
    expect(preview).to_be_focused()
    expect(field(page)).to_be_hidden()
    assert_accessible(page)
    button(page, "Continue writing").click()
    expect(field(page)).to_be_focused()
    expect(field(page)).to_have_value("**Bold**\n\n- one\n- two")
    button(page, "Preview").click()
    expect(preview).to_be_focused()
    page.keyboard.press("Escape")
    expect(field(page)).to_be_focused()
    button(page, "Preview").click()
    expect(preview).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-sequence='1'] strong")).to_have_text("Bold")
    expect(preview).to_be_hidden()
    expect(field(page)).to_have_value("")


def test_the_preview_of_an_empty_text_is_an_error(alice: Person, topic: str) -> None:
    alice.go(topic)
    button(alice.page, "Preview").click()
    expect(alice.page.get_by_role("alert")).to_contain_text("Write a message first.")
    field(alice.page).fill("Something")
    button(alice.page, "Preview").click()
    expect(alice.page.get_by_role("region", name="Preview")).to_have_text("Something")
    button(alice.page, "Send").click()
    expect(alice.page.locator("[data-sequence='1']")).to_contain_text("Something")


def test_without_javascript_preview_and_quote_work_and_the_text_stays(
    browser: Browser, stack: Stack, topic: str
) -> None:
    kate = Person(browser, stack.address, "kate@northwind.example", PASSWORD, java_script_enabled=False)
    page = kate.page
    kate.go(topic)
    field(page).fill("A *plain* browser for @Alice Almeida")
    button(page, "Preview").click()
    preview = page.get_by_role("region", name="Preview")
    expect(preview.locator("em")).to_have_text("plain")
    expect(preview.locator(".mention")).to_have_text("@Alice Almeida")
    expect(field(page)).to_have_value("A *plain* browser for @Alice Almeida")
    assert_no_horizontal_scrolling(page)
    button(page, "Send").click()
    expect(page.locator("[data-sequence='1'] .mention")).to_have_text("@Alice Almeida")
    kate.go(topic + "?quote=1")
    expect(field(page)).to_have_value("> **Kate Lindqvist:**\n> A *plain* browser for @Alice Almeida\n\n")
    button(page, "Send").click()
    expect(page.locator("[data-sequence='2'] blockquote")).to_contain_text("A plain browser")
    expect(page.locator("[data-sequence='2'] .mention")).to_have_count(0)


def assert_no_horizontal_scrolling(page: Page) -> None:
    width, visible = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width <= visible


# -- Quotes -----------------------------------------------------------------------------------------------------------


def quote(page: Page, sequence: int) -> None:
    page.locator(f"#message-{sequence} [data-message-menu]").click()
    page.get_by_role("link", name="Quote").click()


def test_a_quote_is_appended_to_the_text_and_saved_in_the_draft(alice: Person, topic: str) -> None:
    page = alice.page
    alice.go(topic)
    field(page).fill("Two\nlines")
    field(page).press("Control+Enter")
    expect(page.locator("[data-sequence='1']")).to_be_visible()
    field(page).fill("Before")
    button(page, "Preview").click()
    expect(field(page)).to_be_hidden()
    quote(page, 1)
    expect(field(page)).to_be_focused()
    quoted = "Before\n\n> **Alice Almeida:**\n> Two\n> lines\n\n"
    expect(field(page)).to_have_value(quoted)
    page.keyboard.type("After")
    page.reload()
    expect(field(page)).to_have_value(quoted + "After")
    alice.go(topic + "?quote=1")
    expect(field(page)).to_have_value(quoted + "After")  # it already contains the quote
    field(page).fill("Other")
    alice.go(topic + "?quote=1")
    expect(field(page)).to_have_value("Other\n\n> **Alice Almeida:**\n> Two\n> lines\n\n")
    page.reload()
    expect(field(page)).to_have_value("Other\n\n> **Alice Almeida:**\n> Two\n> lines\n\n")
    assert "quote" not in page.url


def test_a_quote_that_cannot_be_fetched_is_loaded_with_the_page(alice: Person, topic: str) -> None:
    page = alice.page
    alice.go(topic)
    field(page).fill("Hello")
    field(page).press("Control+Enter")
    expect(page.locator("[data-sequence='1']")).to_be_visible()
    page.route("**/quotation/", lambda route: route.abort())
    quote(page, 1)
    expect(field(page)).to_have_value("> **Alice Almeida:**\n> Hello\n\n")


# -- Mentions ---------------------------------------------------------------------------------------------------------


def test_a_member_is_mentioned_by_keyboard_alone_and_sees_the_mention_marked(
    browser: Browser, stack: Stack, alice: Person, topic: str
) -> None:
    page = alice.page
    alice.go(topic)
    people, options = page.get_by_role("listbox", name="People in this group"), page.get_by_role("option")
    field(page).focus()
    page.keyboard.type("Dear @")
    expect(people).to_be_visible()
    expect(options.first).to_have_attribute("aria-selected", "true")
    names = options.all_inner_texts()
    assert "Bob Brandt" in names
    assert "Alice Almeida" not in names, "her own name is not offered"
    expect(field(page)).to_have_attribute("aria-activedescendant", "composer-person-0")
    expect(field(page)).to_have_attribute("aria-controls", "composer-people")
    expect(page.locator("[data-people-status]")).to_have_text(
        f"People found: {len(names)}. Use the arrow keys and Enter to choose"
    )
    assert_accessible(page)
    page.keyboard.press("ArrowUp")  # wraps around
    expect(options.last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Escape")
    expect(people).to_be_hidden()
    assert field(page).get_attribute("aria-activedescendant") is None
    page.keyboard.type("b")
    expect(people).to_be_hidden()  # it stays closed for this @
    page.keyboard.type("ob, dear @brANd")
    expect(options).to_have_text(["Bob Brandt"])
    page.keyboard.press("Enter")
    expect(field(page)).to_have_value("Dear @bob, dear @Bob Brandt ")
    expect(people).to_be_hidden()
    page.keyboard.type("and @joao")  # without the accent
    expect(options).to_have_text(["João Pereira"])
    page.keyboard.press("Tab")
    expect(field(page)).to_be_focused()
    page.keyboard.type("look")
    page.keyboard.press("Enter")
    page.keyboard.type("here: mail@bob")
    expect(people).to_be_hidden()
    expect(field(page)).to_have_value("Dear @bob, dear @Bob Brandt and @João Pereira look\nhere: mail@bob")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-sequence='1'] .mention")).to_have_text(["@Bob Brandt", "@João Pereira"])
    expect(page.locator("[data-sequence='1'] .mention-own")).to_have_count(0)
    bob = Person(browser, stack.address, "bob@northwind.example", PASSWORD)
    bob.go("/northwind/messenger/")
    row = bob.page.locator(".topic", has=bob.page.locator(f"a[href='{topic}']"))
    expect(row).to_contain_text("You are mentioned in unread messages")
    assert_accessible(bob.page)
    bob.go(topic)
    expect(bob.page.locator(".mention-own")).to_have_text("@Bob Brandt")
    assert_accessible(bob.page)
    # What was displayed is reported to the server as read a moment later.
    bob.page.wait_for_timeout(1_500)
    bob.go("/northwind/messenger/")
    expect(row).not_to_contain_text("You are mentioned")


NAMES = (
    "Dvořák|Gehälter|Inês|O’Brien|O`Brien|O´Brien|STRASSE|Straße|STRAẞE|Işık|İstanbul|Ærø|Łódź|Đặng|Þóra Guðrún|Œuvre"
    "|Ａｎｎａ|ﬁnance|ΣΊΣΥΦΟΣ|Алёна|مُحَمَّد|שָׁלוֹם|ガス|ｶﾞｽ|급여|Jose\u0301|Müller‑Lüdenscheidt|Pay\u00adroll|می\u200cخواهم"
    "|“a” «b»|हिन्दी|ไทย|ᾳ|″"
).split("|")


def test_the_page_folds_names_like_the_server(alice: Person, topic: str) -> None:
    alice.go(topic)
    folded = alice.page.evaluate(
        """async (names) => {
            const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
            const { fold } = await import(loaded.find((name) => /\\/folding\\b.*\\.js/.test(name)));
            return names.map(fold);
        }""",
        NAMES,
    )
    assert folded == list(map(fold, NAMES))


def test_a_member_is_selected_with_the_mouse(alice: Person, topic: str) -> None:
    alice.go(topic)
    field(alice.page).press_sequentially("@")
    alice.page.get_by_role("option", name="Bob Brandt").click()
    expect(field(alice.page)).to_have_value("@Bob Brandt ")
    expect(field(alice.page)).to_be_focused()


# -- Keys and layout --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", ["Control+Enter", "Meta+Enter"])
def test_enter_starts_a_new_line_and_with_control_or_command_it_sends(alice: Person, topic: str, keys: str) -> None:
    alice.go(topic)
    field(alice.page).press_sequentially("one")
    field(alice.page).press("Enter")
    field(alice.page).press_sequentially("two")
    expect(field(alice.page)).to_have_value("one\ntwo")
    expect(alice.page.locator("[data-sequence]")).to_have_count(0)
    field(alice.page).press(keys)
    expect(alice.page.locator("[data-sequence='1'] .message-body")).to_have_text("one\ntwo")


def test_the_field_grows_with_its_text_up_to_a_share_of_the_window(alice: Person, topic: str) -> None:
    alice.go(topic)

    def height() -> float:
        box = field(alice.page).bounding_box()
        assert box
        return box["height"]

    heights = []
    for lines in (1, 6, 200, 1):
        field(alice.page).fill("line\n" * lines)
        heights.append(height())
    window = alice.page.evaluate("innerHeight")
    assert heights[0] < heights[1] < heights[2] <= 0.4 * window + 1
    assert heights[3] == heights[0]
    field(alice.page).fill("line\n" * 6)
    alice.page.reload()
    expect(field(alice.page)).to_have_value("line\n" * 6)
    assert height() == heights[1], "a restored draft has the same height"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_composer_fits_on_a_phone_and_is_accessible(
    browser: Browser, stack: Stack, topic: str, scheme: str
) -> None:
    phone = {"width": 390, "height": 780}
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD, viewport=phone, color_scheme=scheme)
    page = alice.page
    alice.go(topic)
    field(page).press_sequentially("@")
    expect(page.get_by_role("listbox")).to_be_in_viewport(ratio=1)
    assert_no_horizontal_scrolling(page)
    assert_accessible(page)
    page.keyboard.press("Enter")
    page.keyboard.type("`" + "wide " * 60 + "`\n\n> quote")
    expect(page.get_by_text(DRAFT_HINT)).to_be_visible()
    button(page, "Preview").click()
    expect(page.get_by_role("region", name="Preview")).to_be_focused()
    assert_no_horizontal_scrolling(page)
    assert_accessible(page)
