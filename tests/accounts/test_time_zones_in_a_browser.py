"""The time zone of the device, as a browser names it, is preselected for who is invited."""

import pytest
from playwright.sync_api import Browser

from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

INVITE = """
from tenancy.models import Invitation, Member
from tenancy.invitations import link_of
alice = Member.objects.get(user__email="alice@northwind.example")
who = {"name": "Ivan Ivanov", "email": "%s@example.com"}
print(link_of(Invitation.objects.create(tenancy=alice.tenancy, invited_by=alice, **who)))
"""


@pytest.mark.parametrize(
    ("of_the_device", "found"),
    [("Asia/Calcutta", "Asia/Kolkata"), ("Europe/Amsterdam", "Europe/Amsterdam"), ("Etc/GMT+5", "UTC")],
)
def test_the_zone_of_the_device_is_preselected_under_whichever_name(
    browser: Browser, stack: Stack, of_the_device: str, found: str
) -> None:
    who = of_the_device.lower().translate(str.maketrans("/+", "--"))
    link = stack.manage("shell", "--no-imports", "-c", INVITE % who).strip()
    page = browser.new_context(timezone_id=of_the_device).new_page()
    page.goto(link)
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == of_the_device, "or it proves nothing"
    assert page.locator("[name=time_zone]").input_value() == found
    page.context.close()
