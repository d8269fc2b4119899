"""Template tags and filters available in all templates (builtins in the settings)."""

import re
from datetime import datetime, timedelta
from functools import cache

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from common.addresses import readable_address
from common.clock_times import clock_time, moment_in_words

register = template.Library()
register.filter("moment", moment_in_words)

ICONS = settings.BASE_DIR / "static" / "vendor" / "bootstrap-icons"

_SVG_CONTENT = re.compile(r"<svg[^>]*>\s*(.*?)\s*</svg>", re.DOTALL)


@cache
def _svg(name: str) -> SafeString:
    return mark_safe((ICONS / f"{name}.svg").read_text().strip())  # noqa: S308  (a file of ours)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A vendored icon as inline SVG. Give it a label if it conveys something that the text beside it does not."""
    if label:
        return format_html('<span class="icon" role="img" aria-label="{}">{}</span>', label, _svg(name))
    return format_html('<span class="icon" aria-hidden="true">{}</span>', _svg(name))


@register.simple_tag
def symbols(*names: str) -> SafeString:
    """Define icons that a page repeats, such as in each row of a list, once; `symbol` refers to them."""
    element = r'<symbol id="icon-{}" viewBox="0 0 16 16">\1</symbol>'
    definitions = [_SVG_CONTENT.sub(element.format(name), _svg(name)) for name in names]
    return mark_safe(f"<div hidden><svg>{''.join(definitions)}</svg></div>")  # noqa: S308  (files of ours)


@register.simple_tag
def symbol(name: str) -> SafeString:
    """Like `icon`, for icons that the page has defined with `symbols`."""
    return format_html(
        '<span class="icon" aria-hidden="true"><svg fill="currentColor"><use href="#icon-{}"/></svg></span>', name
    )


register.filter("address", readable_address)


@register.filter
def initials(name: str) -> str:
    """The first letters of the first and last word of a name, in upper case: at most two."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


@register.filter
def short_when(moment: datetime) -> str:
    """Short enough for a list: the time if today, “Yesterday”, the day and month if this year, else the date."""
    moment, today = timezone.localtime(moment), timezone.localdate()
    if moment.date() == today:
        return clock_time(moment)
    if moment.date() == today - timedelta(days=1):
        return _("Yesterday")
    return date_format(moment, "MONTH_DAY_FORMAT" if moment.year == today.year else "DATE_FORMAT")


@register.filter
def beginswith(text: str, start: str) -> bool:
    return text.startswith(start)


def cut_underscores(zone: str) -> str:
    """The name of a time zone in readable form: America/New York."""
    return zone.replace("_", " ")
