import re
from html import unescape
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import F, FilteredRelation, Q
from django.db.models.functions import Left
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import strip_tags
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from ippex_messenger.forms import violates
from messenger.forms.topics import NAME_TAKEN, NewTopicForm, TopicForm
from messenger.http import MessengerHttpRequest
from messenger.models import MessengerGroup, Topic
from messenger.querysets import TopicQuerySet
from messenger.topics import save_topic
from messenger.wording import notifications_in_words
from tenancy.listing import page_number
from tenancy.models import Member

PAGE_LENGTH = 50
EXCERPT_LENGTH = 120
CUT_OFF_TAG = re.compile(r"<[^>]*\Z")
EXCERPT_SOURCE_LENGTH = 600  # characters of HTML that surely hold so many of text


@require_safe
def topics(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    groups = list(MessengerGroup.objects.visible_to(member).by_name())
    if not groups:
        raise Http404  # in no active group: for them there is no Messenger (product, reading 7)
    request.sees_messenger = True
    inactive = Topic.objects.manageable_by(member).filter(is_active=False)
    shows_inactive = member.is_messenger_manager and "inactive" in request.GET
    rows = inactive if shows_inactive else Topic.objects.visible_to(member)
    query, group_id = request.GET.get("q", "").strip()[:120], request.GET.get("group", "")
    if query:
        rows = rows.filter(Q(name__icontains=query) | Q(group__name__icontains=query))
    if group_id.isascii() and group_id.isdigit() and len(group_id) < 19:
        rows = rows.filter(group=int(group_id))
    page = page_number(request)
    start = (page - 1) * PAGE_LENGTH
    found = _with_last_message(rows.latest_first())[start : start + PAGE_LENGTH + 1]
    listed = [_as_row(topic) for topic in found]
    context = {
        "topics": listed[:PAGE_LENGTH],
        "next_page": page + 1 if len(listed) > PAGE_LENGTH else None,
        "previous_page": page - 1 or None,
        "groups": groups,
        "query": query,
        "group_id": group_id,
        "is_searching": bool(query or group_id),
        "shows_inactive": shows_inactive,
        "inactive_count": inactive.count() if member.is_messenger_manager else 0,
    }
    return render(request, "messenger/topics.html", context)


def _with_last_message(topics: TopicQuerySet) -> Any:
    return topics.annotate(
        last=FilteredRelation("messages", condition=Q(messages__sequence=F("last_sequence"))),
        excerpt=Left("last__body_html", EXCERPT_SOURCE_LENGTH),
    ).values(
        "pk", "name", "group__name", "notifications_enabled", "notification_interval", "last_activity_at",
        "excerpt", "last__author__name",
    )  # fmt: skip


def _as_row(topic: dict[str, Any]) -> dict[str, Any]:
    html = CUT_OFF_TAG.sub("", topic["excerpt"] or "").replace("<", " <")
    words = " ".join(unescape(strip_tags(html)).split())
    return {
        "pk": topic["pk"],
        "name": topic["name"],
        "group": topic["group__name"],
        "notifications_enabled": topic["notifications_enabled"],
        "notifications": notifications_in_words(topic["notifications_enabled"], topic["notification_interval"]),
        "last_activity_at": topic["last_activity_at"],
        "author": topic["last__author__name"],
        "excerpt": Truncator(words).chars(EXCERPT_LENGTH),
    }


@require_http_methods(["GET", "HEAD", "POST"])
def create(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    _require_manager(member)
    draft = Topic(tenancy=member.tenancy)
    form = NewTopicForm(request.POST if request.method == "POST" else None, instance=draft, author=member)
    if request.method == "POST" and form.is_valid() and _saved(form):
        messages.success(request, _("The topic “%(name)s” has been created.") % {"name": draft.name})
        return redirect(draft) if draft.is_active else redirect("messenger:topics", member.tenancy.slug)
    return render(request, "messenger/topic_new.html", {"form": form}, status=422 if form.errors else 200)


def _require_manager(member: Member) -> None:
    """403 for members who see Messenger, 404 for those who don't: they may not know the page is there."""
    if not MessengerGroup.objects.visible_to(member).exists():
        raise Http404
    if not member.is_messenger_manager:
        raise PermissionDenied


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    member = request.member
    topic = _manageable_topic(member, pk)
    name = topic.name  # the form writes into the topic, valid or not; the page is titled as it was
    form = TopicForm(request.POST if request.method == "POST" else None, instance=topic)
    if request.method == "POST" and form.is_valid() and _saved(form):
        messages.success(request, _("The settings of “%(name)s” have been saved.") % {"name": topic.name})
        return redirect(topic) if topic.is_active else redirect("messenger:topics", member.tenancy.slug)
    context = {"form": form, "topic": topic, "name": name}
    return render(request, "messenger/topic_edit.html", context, status=422 if form.errors else 200)


def _manageable_topic(member: Member, pk: int) -> Topic:
    """403 for those who read the topic, 404 for those who may not know it."""
    topic = Topic.objects.manageable_by(member).select_related("group").filter(pk=pk).first()
    if topic is None:
        get_object_or_404(Topic.objects.visible_to(member), pk=pk)
        raise PermissionDenied
    return topic


def _saved(form: TopicForm) -> bool:
    topic = form.instance
    try:
        save_topic(topic, TopicForm.Meta.fields if topic.pk else None)
    except IntegrityError as error:  # another manager was a moment earlier
        if not violates(error, "topic_name_unique_in_group"):
            raise
        form.add_error("name", NAME_TAKEN)
        return False
    return True
