"""The choice of a time zone: the options, how they are displayed, and that users keep the zone they have."""

import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import pytest
import time_machine
from django.test import Client
from django.utils import timezone, translation

from accounts import time_zones
from accounts.models import User
from tenancy.invitations import link_of
from tenancy.models import Invitation
from tests.support.cast import Cast, sign_in

PROFILE = "/accounts/profile/"


class Option(NamedTuple):
    value: str
    text: str
    region: str
    is_selected: bool


class _Options(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.region, self.current, self.options = "", dict[str, Any](), list[Option]()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "optgroup":
            self.region = dict(attrs)["label"] or ""
        self.current = dict(attrs) if tag == "option" else {}

    def handle_data(self, text: str) -> None:
        if self.current:
            self.options.append(Option(self.current["value"], text, self.region, "selected" in self.current))


def options_on(page: str) -> list[Option]:
    [select] = re.findall(r'<select name="time_zone".*?</select>', page, flags=re.DOTALL)
    return _Options(select).options


def options_of_profile(client: Client) -> list[Option]:
    response = client.get(PROFILE)
    assert response.status_code == 200
    return options_on(response.content.decode())


def selected(options: list[Option]) -> list[str]:
    return [option.value for option in options if option.is_selected]


def test_each_zone_is_offered_once_in_its_region_without_aliases(cast: Cast) -> None:
    options = options_of_profile(sign_in(cast.bob))
    by_value = {option.value: option for option in options}
    assert len(by_value) == len(options) > 400
    assert all(ZoneInfo(value) for value in by_value)
    assert options[0].value == options[0].text == "UTC"
    for name, region, city in (
        ("Asia/Kolkata", "Asia", "Kolkata"),
        ("Europe/Amsterdam", "Europe", "Amsterdam"),  # the same as Berlin by now, but people look for it
        ("America/New_York", "America", "New York"),
        ("America/Kentucky/Louisville", "America", "Louisville, Kentucky"),
        ("Atlantic/Reykjavik", "Atlantic Ocean", "Reykjavik"),
    ):
        assert by_value[name].region == region
        assert re.fullmatch(rf"{city} \(UTC[+−]\d\d:\d\d\)", by_value[name].text)
    aliases = {"Asia/Calcutta", "US/Eastern", "Europe/Kiev", "Etc/GMT+5", "GB", "America/Louisville"}
    assert aliases < available_timezones(), "or the test proves nothing"
    assert not aliases & by_value.keys()


def test_every_region_has_a_translatable_name() -> None:
    assert {name.split("/")[0] for name in time_zones.offered()} == {*time_zones.REGIONS, time_zones.WITHOUT_REGION}


@pytest.mark.parametrize(
    ("day", "berlin", "new_york"),
    [("2026-01-15", "+01:00", "−05:00"), ("2026-03-20", "+01:00", "−04:00"), ("2026-07-15", "+02:00", "−04:00")],
)
def test_the_offset_is_that_of_today(day: str, berlin: str, new_york: str) -> None:
    with time_machine.travel(f"{day}T09:00:00Z"):
        texts = {option.value: option.text for option in _Options(time_zones.options("UTC")).options}
    assert texts["Europe/Berlin"] == f"Berlin (UTC{berlin})"
    assert texts["America/New_York"] == f"New York (UTC{new_york})"
    assert texts["Asia/Kolkata"] == "Kolkata (UTC+05:30)"


def test_options_are_rendered_once_per_day_and_language_with_each_users_own_selected(cast: Cast) -> None:
    time_zones._options.cache_clear()
    for member, zone in ((cast.alice, "Asia/Tokyo"), (cast.bob, "America/Indiana/Knox")):
        User.objects.filter(pk=member.user_id).update(time_zone=zone)
        assert selected(options_of_profile(sign_in(member))) == [zone]
    assert time_zones._options.cache_info().misses == 1
    with translation.override("de"):
        time_zones.options("UTC")
    assert time_zones._options.cache_info().misses == 2
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        time_zones.options("UTC")
    assert time_zones._options.cache_info().misses == 3


def test_the_profile_does_not_render_a_template_for_each_zone(cast: Cast) -> None:
    names = [template.name for template in sign_in(cast.bob).get(PROFILE).templates]
    assert "accounts/widgets/time_zones.html" in names
    assert names.count("django/forms/widgets/select_option.html") < 10, "only those of the other fields"


@pytest.mark.parametrize("zone", ["Asia/Calcutta", "US/Eastern", "Etc/GMT+5"])
def test_a_user_keeps_a_zone_that_is_not_offered_until_choosing_another(cast: Cast, zone: str) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(time_zone=zone)
    bob = sign_in(cast.bob)
    options = options_of_profile(bob)
    assert selected(options) == [zone]
    assert re.fullmatch(rf"{re.escape(zone)} \(UTC[+−]\d\d:\d\d\)", options[0].text)
    form = {"time_zone": zone, "language": "en", "appearance": "dark"}
    for chosen in (zone, "Asia/Tokyo"):
        assert bob.post(PROFILE, {**form, "time_zone": chosen}).status_code == 302
        user = User.objects.get(pk=cast.bob.user_id)
        assert (user.time_zone, user.appearance) == (chosen, "dark")
    assert zone not in [option.value for option in options_of_profile(bob)]


def test_an_unknown_zone_is_refused_and_not_shown(cast: Cast) -> None:
    wrong = '"><script>alert(1)</script>'
    response = sign_in(cast.bob).post(PROFILE, {"time_zone": wrong, "language": "en", "appearance": "dark"})
    assert response.status_code == 422
    assert selected(options_on(response.content.decode())) == []


def test_an_invited_user_is_offered_the_same_zones(cast: Cast) -> None:
    invitation = Invitation.objects.create(
        tenancy=cast.northwind, invited_by=cast.dana, name="Ivan Ivanov", email="ivan@example.com"
    )
    page = Client().get(re.sub(r"^\w+://[^/]+", "", link_of(invitation))).content.decode()
    options = options_on(page)
    assert selected(options) == ["UTC"]
    assert [option.value for option in options] == [option.value for option in options_of_profile(sign_in(cast.bob))]
