"""Forecasts and records of mails, updated live in a real browser."""

import re

import pytest
from playwright.sync_api import Browser, expect

from ippex_messenger.demo.people import PASSWORD
from tests.support.browser import Person
from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

# Fifty messages, which is one page; the mail about the first of them is to be tried again tomorrow.
PUT_OFF_FOR_A_DAY = """
from datetime import timedelta
from uuid import uuid4
from django.db import transaction
from django.utils import timezone
from messenger.notifications.delivery import outbox
from messenger.models import Delivery, MessengerGroup, Topic
from messenger.messages.posting import post_message
from tenancy.models import Member
alice = Member.objects.get(user__email="alice@northwind.example")
group = MessengerGroup.objects.visible_to(alice).visible_to(Member.objects.get(user__email="bob@northwind.example"))[0]
topic = Topic.objects.create(tenancy=alice.tenancy, group=group, name={name!r})
with transaction.atomic():
    for number in range(1, 51):
        message = post_message(topic.pk, alice, f"This is number {{number}}.", uuid4()).message
        if number == 1:
            outbox.fan_out(message.pk)
            tomorrow = timezone.now() + timedelta(days=1)
            Delivery.objects.filter(message=message, state="waiting").update(attempts=1, next_attempt_at=tomorrow)
"""


def test_the_forecast_follows_other_peoples_posts_and_counts_down(browser: Browser, stack: Stack) -> None:
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    bob = Person(browser, stack.address, "bob@northwind.example", PASSWORD)
    bob.page.clock.install()
    for person in (alice, bob):
        person.go("/northwind/messenger/")
        person.click("Payments processing")
    line = bob.page.locator("[data-forecast] p:visible")
    expect(line).to_contain_text("If you send now")
    alice.page.get_by_label("Message", exact=True).fill("The bank has answered.")
    alice.click("Send", "button")
    row = bob.page.locator("[data-sequence]", has_text="The bank has answered.")
    expect(row).to_contain_text(re.compile(r"E-mailed to \d+ p"), timeout=30_000)
    expect(line).to_contain_text("No e-mail if you send now: the last message is less than 30 minutes old.")
    expect(alice.page.locator("[data-forecast] p:visible")).to_contain_text("No e-mail if you send now")
    countdown = line.locator("[data-countdown]")
    expect(countdown).to_have_text(re.compile(r"^\((29|30) mins left\)$"))
    bob.page.route("**/messages/?since=*", lambda route: route.abort())  # the server does not follow Bob's clock
    bob.page.wait_for_timeout(2_000)  # a response that is already on its way would reset the countdown
    bob.page.clock.fast_forward("15:00")
    expect(countdown).to_have_text(re.compile(r"^\(1[45] mins left\)$"))
    bob.page.clock.fast_forward("14:20")
    expect(countdown).to_have_text(re.compile(r"^\([1-5]?\d secs? left\)$"))
    bob.page.clock.fast_forward("00:45")
    expect(line).to_contain_text("If you send now")
    expect(line).not_to_contain_text("No e-mail")


def test_the_line_below_a_message_follows_its_mails_and_opens_the_record(browser: Browser, stack: Stack) -> None:
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    alice.go("/northwind/messenger/")
    alice.click("Daily cut-off")
    alice.page.get_by_label("Message", exact=True).fill("The portal is down.")
    alice.click("Send", "button")
    row = alice.page.locator("[data-sequence]", has_text="The portal is down.")
    link = row.locator("[data-record]")
    expect(link).to_have_text(re.compile(r"^E-mailed to \d+ people$"), timeout=30_000)  # without reloading the page
    link.click()
    dialog = alice.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text(re.compile(r"^E-mailed to \d+ people$"))
    expect(dialog.locator(".record-line", has_text="Alice Almeida")).to_contain_text("Not e-mailed: wrote the message")
    expect(dialog.locator(".record-line", has_text="Bob Brandt")).to_contain_text("E-mailed, ")
    alice.page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()


def test_without_javascript_the_record_is_a_page_and_muting_works(browser: Browser, stack: Stack) -> None:
    kate = Person(browser, stack.address, "kate@northwind.example", PASSWORD, java_script_enabled=False)
    kate.go("/northwind/messenger/")
    kate.click("Payments processing")
    kate.page.locator("[data-record]").first.click()
    assert kate.sees("people were in the group at the time")
    kate.click("Back to the topic")
    kate.click("Mute e-mails", "button")
    assert kate.sees("You will get no more e-mails about “Payments processing”.")
    kate.click("Unmute e-mails", "button")
    assert kate.sees("You will get e-mails about “Payments processing” again.")


def test_new_messages_arrive_while_a_mail_about_an_earlier_page_is_pending(browser: Browser, stack: Stack) -> None:
    name = "A slow mail server"
    stack.manage("shell", "--no-imports", "-c", PUT_OFF_FOR_A_DAY.format(name=name))
    alice = Person(browser, stack.address, "alice@northwind.example", PASSWORD)
    bob = Person(browser, stack.address, "bob@northwind.example", PASSWORD)
    for person in (alice, bob):
        person.go("/northwind/messenger/")
        person.click(name)
    expect(bob.page.locator("#message-1 .message-outcome")).to_contain_text(re.compile("on (its|their|the) way"))
    expect(bob.page.locator("[data-sequence]")).to_have_count(50)
    alice.page.get_by_label("Message", exact=True).fill("Number fifty-one.")
    alice.click("Send", "button")
    expect(bob.page.locator("#message-51")).to_contain_text("Number fifty-one.")
