"""The pages that are asked for most, as outlines: what of a page differs is said by the view, in one place."""

from collections.abc import Mapping
from typing import Any

from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.template.loader import render_to_string

from common.caching.page_cache import PlaceholderValue, as_context, render_skeleton
from common.csrf import form_token
from common.templatetags.interface import cut_underscores, initials
from messenger.reading.unread_count import count_unread_topics, unread_in_words
from messenger.web.requests import MessengerHttpRequest

Variant = Mapping[str, Any]
Values = Mapping[str, PlaceholderValue]


def render_page(
    request: MessengerHttpRequest, template: str, variant: Variant, values: Values, status: int = 200
) -> HttpResponse:
    """A page with the main menu, for who sees Messenger: `same` and `shown` as `render_skeleton` takes them."""
    if get_messages(request):  # once after something was done: not worth an skeleton
        return HttpResponse(render_to_string(template, as_context({**variant, **values}), request), status=status)
    frame_variant, frame_values = _frame(request)
    return HttpResponse(
        render_skeleton(template, {**frame_variant, **variant}, {**frame_values, **values}), status=status
    )


def render_piece(
    request: MessengerHttpRequest, template: str, variant: Variant, values: Values, status: int = 200
) -> HttpResponse:
    """Of such a page: what a page that is open asks for."""
    return HttpResponse(render_to_string(template, as_context({**variant, **values}), request), status=status)


def _frame(request: MessengerHttpRequest) -> tuple[Variant, Values]:
    """What templates/frame.html shows: as the context processors say it to every page."""
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
        "csrf_token": form_token(request).encode(),  # letters and digits, others each time
    }
