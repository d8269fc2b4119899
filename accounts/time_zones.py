"""The time zones that users choose from, by region, with today's offset from UTC.

The list offers what the time zone database recommends for this purpose (zone.tab): at least one zone per country. Other
names are aliases (Asia/Calcutta, US/Eastern) or technical (Etc/GMT+5). Users who already have one of those keep it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

DATABASE = files("tzdata")
WITHOUT_REGION = "UTC"
REGIONS = {
    "Africa": _("Africa"),
    "America": _("America"),
    "Antarctica": _("Antarctica"),
    "Arctic": _("Arctic"),
    "Asia": _("Asia"),
    "Atlantic": _("Atlantic Ocean"),
    "Australia": _("Australia"),
    "Europe": _("Europe"),
    "Indian": _("Indian Ocean"),
    "Pacific": _("Pacific Ocean"),
}


def is_time_zone(name: str) -> bool:
    """Whether the time zone database contains this name, even if it is not offered."""
    return name in _all_names()


def options(chosen: str) -> SafeString:
    """The <option> elements, with `chosen` selected if it is a time zone. It is added if it is not offered."""
    today = timezone.now().date()
    html = _options(today, get_language() or "")
    if chosen in offered():
        opening = f'<option value="{chosen}"'
        return mark_safe(html.replace(opening, f"{opening} selected", 1))  # noqa: S308  (made below)
    if is_time_zone(chosen):
        return _option(chosen, chosen, today, mark_safe(" selected")) + html
    return html


@cache
def offered() -> frozenset[str]:
    rows = (line.split("\t") for line in _lines("zoneinfo/zone.tab"))
    return frozenset({WITHOUT_REGION, *(name for _country, _place, name, *_comment in rows)})


@cache
def aliases() -> dict[str, list[str]]:
    """The older names of the offered zones that have any."""
    by_zone: defaultdict[str, list[str]] = defaultdict(list)
    for line in _lines("zoneinfo/tzdata.zi"):
        kind, target, *alias = line.split()
        if kind == "L" and target in offered() and alias[0] not in offered():
            by_zone[target] += alias
    return by_zone


@cache
def _all_names() -> frozenset[str]:
    return frozenset(_lines("zones"))


def _lines(name: str) -> Iterator[str]:
    return (line for line in DATABASE.joinpath(name).read_text().splitlines() if not line.startswith("#"))


@lru_cache(maxsize=4)
def _options(day: date, language: str) -> SafeString:
    """All options in the active language, none selected. `language` is only part of the cache key."""
    by_region = defaultdict(list)
    for name in offered() - {WITHOUT_REGION}:
        region, _slash, place = name.partition("/")
        by_region[str(REGIONS.get(region, region))].append((_in_words(place), name))
    groups = ((region, _group(places, day)) for region, places in sorted(by_region.items()))
    return format_html('<option value="{0}">{0}</option>', WITHOUT_REGION) + format_html_join(
        "", '<optgroup label="{}">{}</optgroup>', groups
    )


def _group(places: Iterable[tuple[str, str]], day: date) -> SafeString:
    return mark_safe("".join(_option(name, place, day, _aliases_of(name)) for place, name in sorted(places)))  # noqa: S308


def _in_words(place: str) -> str:
    """With the city first: Louisville, Kentucky."""
    return ", ".join(reversed(place.replace("_", " ").split("/")))


def _aliases_of(name: str) -> SafeString:
    """An attribute for static/js/guess-time-zone.js, because browsers use older names for some zones."""
    return format_html(' data-aliases="{}"', " ".join(aliases()[name])) if name in aliases() else mark_safe("")


def _option(name: str, label: str, day: date, attributes: SafeString) -> SafeString:
    label = label.replace("_", " ")
    return format_html('<option value="{}"{}>{} (UTC{})</option>', name, attributes, label, _offset(name, day))


def _offset(name: str, day: date) -> str:
    """The offset from UTC, such as +05:30. At noon UTC, because clocks change at night."""
    noon = datetime.combine(day, time(12), UTC).astimezone(ZoneInfo(name))
    return noon.isoformat()[-6:].replace("-", "−")
