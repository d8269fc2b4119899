"""Template tags that every page may use; loaded for all templates by the settings."""

import re
from datetime import datetime, timedelta
from functools import cache

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format, time_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

register = template.Library()

ICONS = settings.BASE_DIR / "static" / "vendor" / "bootstrap-icons"

_OUTER = re.compile(r"<svg[^>]*>\s*(.*?)\s*</svg>", re.DOTALL)


@cache
def _drawing(name: str) -> SafeString:
    return mark_safe((ICONS / f"{name}.svg").read_text().strip())  # noqa: S308  (a file of ours)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One of the vendored icons, inline; with a label where it says something that no text beside it says."""
    if label:
        return format_html('<span class="icon" role="img" aria-label="{}">{}</span>', label, _drawing(name))
    return format_html('<span class="icon" aria-hidden="true">{}</span>', _drawing(name))


@register.simple_tag
def symbols(*names: str) -> SafeString:
    """Icons that a list says in each of its rows: drawn once, for `symbol` to show."""
    drawn = [_OUTER.sub(rf'<symbol id="icon-{name}" viewBox="0 0 16 16">\1</symbol>', _drawing(name)) for name in names]
    return mark_safe(f"<div hidden><svg>{''.join(drawn)}</svg></div>")  # noqa: S308  (files of ours)


@register.simple_tag
def symbol(name: str) -> SafeString:
    """As `icon`, of the ones that the page has drawn with `symbols`."""
    return format_html(
        '<span class="icon" aria-hidden="true"><svg fill="currentColor"><use href="#icon-{}"/></svg></span>', name
    )


@register.filter
def initials(name: str) -> str:
    """The first letters of the first and last word of a name: at most two."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


@register.filter
def short_when(moment: datetime) -> str:
    """As short as a list wants it: the time of today, “Yesterday”, the day of this year, else the date."""
    moment, today = timezone.localtime(moment), timezone.localdate()
    if moment.date() == today:
        return time_format(moment, "TIME_FORMAT")
    if moment.date() == today - timedelta(days=1):
        return _("Yesterday")
    return date_format(moment, "MONTH_DAY_FORMAT" if moment.year == today.year else "DATE_FORMAT")


@register.filter
def beginswith(text: str, start: str) -> bool:
    return text.startswith(start)


def cut_underscores(zone: str) -> str:
    """A time zone's name as people read it: America/New York."""
    return zone.replace("_", " ")
