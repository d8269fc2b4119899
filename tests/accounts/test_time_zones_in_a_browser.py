"""An invited user finds the time zone of their device preselected, even if the browser uses an older name."""

import pytest
from playwright.sync_api import Browser

from tests.support.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]

INVITE = """
from tenancy.models import Invitation, Member
from tenancy.invitations import link_of
alice = Member.objects.get(user__email="alice@northwind.example")
user = {"name": "Ivan Ivanov", "email": "%s@example.com"}
print(link_of(Invitation.objects.create(tenancy=alice.tenancy, invited_by=alice, **user)))
"""


@pytest.mark.parametrize(
    ("device_zone", "selected"),
    [("Asia/Calcutta", "Asia/Kolkata"), ("Europe/Amsterdam", "Europe/Amsterdam"), ("Etc/GMT+5", "UTC")],
)
def test_the_zone_of_the_device_is_preselected_even_if_it_is_an_alias(
    browser: Browser, stack: Stack, device_zone: str, selected: str
) -> None:
    user = device_zone.lower().translate(str.maketrans("/+", "--"))
    link = stack.manage("shell", "--no-imports", "-c", INVITE % user).strip()
    page = browser.new_context(timezone_id=device_zone).new_page()
    page.goto(link)
    assert page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone") == device_zone, "or it proves nothing"
    assert page.locator("[name=time_zone]").input_value() == selected
    page.context.close()
