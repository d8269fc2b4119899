from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common.caching.page_cache import PlaceholderValue
from common.database.constraints import violates
from common.fragments import wants_fragment
from messenger.models import MessengerGroup, Topic
from messenger.notifications.explanations.simulation import simulate
from messenger.topics.forms import NAME_TAKEN, IntervalForm, NewTopicForm, TopicForm
from messenger.topics.listing import (
    ReadGroup,
    count_inactive,
    first_page,
    groups_of,
    page_of,
    render_topic_rows,
    search,
)
from messenger.topics.mail_preview import preview
from messenger.topics.services import save_topic
from messenger.web.links import search_url
from messenger.web.requests import MessengerHttpRequest
from messenger.web.responses import render_fragment, render_page
from tenancy.models import Member
from tenancy.pagination import page_number


@require_safe
def topics(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    groups = groups_of(member)
    if not groups:
        raise Http404  # Messenger does not exist for members of no active group (product, reading 7)
    request.sees_messenger = True
    shows_inactive = member.is_messenger_manager and "inactive" in request.GET
    words, group_id = request.GET.get("q", "").strip()[:120], request.GET.get("group", "")
    page = page_number(request)
    if shows_inactive or words or group_id or page > 1:
        inactive = Topic.objects.manageable_by(member).filter(is_active=False)
        found = search(inactive if shows_inactive else Topic.objects.visible_to(member), words, group_id)
        rows, has_more = page_of(found, groups, member, page)
    else:
        rows, has_more = first_page(member, groups)
    variant: dict[str, Any] = {
        "has_topics": bool(rows),
        "has_next": has_more,
        "has_previous": page > 1,
        "has_groups": len(groups) > 1,
        "has_words": bool(words),
        "is_searching": bool(words or group_id),
        "shows_inactive": shows_inactive,
        "inactive_count": count_inactive(member, groups),
    }
    values: dict[str, PlaceholderValue] = {
        "rows": render_topic_rows(
            rows, member.tenancy.slug, manages=member.is_messenger_manager, shows_inactive=shows_inactive
        ),
        "next_url": _with_page(request, page + 1) if has_more else "",
        "previous_url": _with_page(request, page - 1) if page > 1 else "",
        "group_options": _group_options(tuple(groups), group_id),
        "query": words,
        "messages_url": search_url(member.tenancy.slug) + _query_string(request),
    }
    if wants_fragment(request):
        return render_fragment(request, "messenger/topics/_topics.html", variant, values)
    return render_page(request, "messenger/topics/topics.html", variant, values)


def _with_page(request: MessengerHttpRequest, number: int) -> str:
    """The query string of another page of the same list."""
    others = [(name, value) for name, values in request.GET.lists() if name != "page" for value in values]
    return "?" + urlencode([*others, ("page", number)])


def _query_string(request: MessengerHttpRequest) -> str:
    return f"?{request.GET.urlencode()}" if request.GET else ""


@lru_cache(maxsize=500)
def _group_options(groups: tuple[ReadGroup, ...], chosen: str) -> SafeString:
    return format_html_join(
        "",
        '<option value="{}"{}>{}</option>',
        ((group.pk, mark_safe(" selected" * (str(group.pk) == chosen)), group.name) for group in groups),  # noqa: S308
    )


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    _require_manager(member)
    draft = Topic(tenancy=member.tenancy)
    form = NewTopicForm(request.POST if request.method == "POST" else None, instance=draft, author=member)
    if request.method == "POST" and form.is_valid() and _try_to_save(form):
        messages.success(request, _("The topic “%(name)s” has been created.") % {"name": draft.name})
        return redirect(draft) if draft.is_active else redirect("messenger:topics", member.tenancy.slug)
    return render(request, "messenger/topics/topic_new.html", {"form": form}, status=422 if form.errors else 200)


def _require_manager(member: Member) -> None:
    """403 for members who see Messenger, 404 for those who don't: they must not learn that the page exists."""
    if not MessengerGroup.objects.visible_to(member).exists():
        raise Http404
    if not member.is_messenger_manager:
        raise PermissionDenied


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    member = request.member
    topic = _manageable_topic(member, pk)
    # Validating the form changes the topic, even if the data is invalid. The page shows the saved name.
    name, saved = topic.name, topic.notification_interval
    form = TopicForm(request.POST if request.method == "POST" else None, instance=topic)
    if request.method == "POST" and form.is_valid() and _try_to_save(form):
        messages.success(request, _("The settings of “%(name)s” have been saved.") % {"name": topic.name})
        return redirect(topic) if topic.is_active else redirect("messenger:topics", member.tenancy.slug)
    typed = form.cleaned_data.get("notification_interval") if form.is_bound else None
    chosen = saved if typed is None else typed
    context = {
        "form": form,
        "topic": topic,
        "name": name,
        "simulation": simulate(topic, saved, chosen, timezone.now()),
        "mail": preview(topic, member),
    }
    return render(request, "messenger/topics/topic_edit.html", context, status=422 if form.errors else 200)


@require_safe
def replay(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """What various intervals would have done, among them the one being typed: a fragment for the settings page."""
    topic = _manageable_topic(request.member, pk)
    if request.headers.get("Sec-Fetch-Dest") == "document":
        return redirect("messenger:topic_edit", request.member.tenancy.slug, pk)  # a sign-in redirected here
    saved = topic.notification_interval
    form = IntervalForm(request.GET or {"notification_interval_0": saved, "notification_interval_1": "minutes"})
    # Not an error status: an incomplete number is normal while the user is typing.
    problem = "" if form.is_valid() else form.errors["notification_interval"][0]
    chosen = form.cleaned_data.get("notification_interval")
    context = {"simulation": simulate(topic, saved, chosen, timezone.now()), "problem": problem}
    return render(request, "messenger/topics/_replay.html", context)


def _manageable_topic(member: Member, pk: int) -> Topic:
    """403 for members who can read the topic, 404 for those who must not learn that it exists."""
    topic = Topic.objects.manageable_by(member).select_related("group").filter(pk=pk).first()
    if topic is None:
        get_object_or_404(Topic.objects.visible_to(member), pk=pk)
        raise PermissionDenied
    return topic


def _try_to_save(form: TopicForm) -> bool:
    """False if the name has been taken in the meantime; the form then has the error."""
    topic = form.instance
    try:
        save_topic(topic, TopicForm.Meta.fields if topic.pk else None)
    except IntegrityError as error:
        if not violates(error, "topic_name_unique_in_group"):
            raise
        form.add_error("name", NAME_TAKEN)
        return False
    return True
