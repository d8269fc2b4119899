"""Responses for the busiest pages, rendered as page skeletons (common/caching/page_cache.py)."""

from collections.abc import Mapping
from typing import Any

from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.template.loader import render_to_string

from common.caching.page_cache import PlaceholderValue, as_context, render_skeleton
from common.csrf import form_token
from common.templatetags.interface import cut_underscores, initials
from messenger.reading.annotations import unread_in_words
from messenger.reading.unread_count import count_unread_topics
from messenger.web.requests import MessengerHttpRequest

Variant = Mapping[str, Any]
Values = Mapping[str, PlaceholderValue]


def render_page(
    request: MessengerHttpRequest, template: str, variant: Variant, values: Values, status: int = 200
) -> HttpResponse:
    """A page with the main menu, for members with Messenger; `variant` and `values` as for `render_skeleton`."""
    if get_messages(request):  # banners appear once, so a skeleton would not pay
        return HttpResponse(render_to_string(template, as_context({**variant, **values}), request), status=status)
    frame_variant, frame_values = _frame(request)
    return HttpResponse(
        render_skeleton(template, {**frame_variant, **variant}, {**frame_values, **values}), status=status
    )


def render_fragment(
    request: MessengerHttpRequest, template: str, variant: Variant, values: Values, status: int = 200
) -> HttpResponse:
    """Part of such a page, for a script of a page that is already open."""
    return HttpResponse(render_to_string(template, as_context({**variant, **values}), request), status=status)


def _frame(request: MessengerHttpRequest) -> tuple[Variant, Values]:
    """What templates/frame.html shows; must agree with the context processors, which serve all other pages."""
    user, member = request.user, request.member
    tenancy = member.tenancy
    unread = count_unread_topics(member)
    return {
        "in_messenger": True,
        "menu_path": "",
        "sees_messenger": True,
        "sees_messenger_users": member.is_administrator or tenancy.messenger_enabled,
        "has_unread_topics": unread > 0,
        "member.is_administrator": member.is_administrator,
        "member.is_messenger_manager": member.is_messenger_manager,
        "user.appearance": user.appearance,
    }, {
        "tenancy.slug": tenancy.slug,
        "tenancy.name": tenancy.name,
        "member.pk": member.pk,
        "member.name": member.name,
        "initials": initials(member.name),
        "user.pk": user.pk,
        "zone": cut_underscores(user.time_zone),
        "unread_topics": unread,
        "unread_badge": unread_in_words(unread),
        "csrf_token": form_token(request).encode(),  # letters and digits, new for each page
    }
