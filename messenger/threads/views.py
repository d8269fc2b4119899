from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common.caching.page_cache import PlaceholderValue
from common.fragments import wants_fragment
from messenger.markup.markdown import clean_body
from messenger.markup.markdown import render as render_body
from messenger.markup.mentions import shown_to
from messenger.markup.quoting import quotation_of
from messenger.messages.mentioning import people_in
from messenger.messages.posting import DifferentTextError, Posted, post_message
from messenger.models import Topic
from messenger.notifications.explanations.forecast_text import ForecastText
from messenger.threads import pages
from messenger.threads.composer import Composer
from messenger.threads.thread_topic import ThreadTopic, topic_for
from messenger.web.requests import MessengerHttpRequest, parse_sequence
from messenger.web.responses import render_fragment, render_page


@require_safe
def thread(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    opened = _open_topic(request, pk)
    page = _requested_page(request, opened)
    if opened.topic.last_sequence and not page.first:
        return redirect("messenger:thread", request.member.tenancy.slug, pk)  # beyond the first or the last message
    return _render_thread(request, opened, page, Composer(_requested_quotation(request, opened.topic)))


@require_http_methods(["GET", "HEAD", "POST"])
def messages(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    return _post(request, pk) if request.method == "POST" else _rows(request, pk)


def _rows(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Messages as fragments for an open page: before or after a sequence number, or changed since a revision."""
    opened = _open_topic(request, pk)
    if request.headers.get("Sec-Fetch-Dest") == "document":
        # Redirected here by a sign-in, after a message was sent without a session.
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    since = parse_sequence(request.GET.get("since", ""))
    if since is not None:
        rows = pages.changed(opened.topic, since, parse_sequence(request.GET.get("from", "")) or 0, request.member)
        forecast = ForecastText.of(opened.topic, opened.recipients)
        context = {"topic": opened.topic, "rows": rows, "forecast": forecast}
        return render(request, "messenger/threads/_changes.html", context)
    return HttpResponse(_requested_page(request, opened).html)


def _post(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    composer = Composer.from_post(request.POST)
    client_id = composer.uuid
    if client_id is None:
        refused = composer.with_new_id().with_error(_("The page was incomplete. Send your message again."))
    else:
        try:
            return _respond_to_post(request, post_message(pk, request.member, composer.body, client_id))
        except Topic.DoesNotExist:
            raise Http404 from None
        except ValidationError as error:
            refused = composer.with_error(" ".join(error.messages))
        except DifferentTextError:
            problem = _("Another message has already been sent from this page. Send again to post this one too.")
            refused = composer.with_new_id().with_error(problem)
    opened = _open_topic(request, pk)
    if wants_fragment(request):
        return _render_composer(request, opened, refused)
    return _render_thread(request, opened, pages.latest(opened.topic, request.member), refused, status=422)


@require_http_methods(["GET", "HEAD", "POST"])
def preview(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Render a text without storing it: a fragment, or the thread with the text still in its composer."""
    opened = _open_topic(request, pk)
    if request.method != "POST":  # redirected here by a sign-in
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    composer = Composer.from_post(request.POST)
    if composer.uuid is None:
        composer = composer.with_new_id()
    try:
        body = clean_body(composer.body)
    except ValidationError as error:
        composer = composer.with_error(" ".join(error.messages))
    else:
        html = shown_to(request.member.pk, render_body(body, people_in(pk, body)).html)
        composer = replace(composer, preview=mark_safe(html))  # noqa: S308  (sanitised)
    if wants_fragment(request):
        return _render_composer(request, opened, composer) if composer.error else HttpResponse(composer.preview)
    status = 422 if composer.error else 200
    return _render_thread(request, opened, pages.latest(opened.topic, request.member), composer, status)


def _render_composer(request: MessengerHttpRequest, opened: ThreadTopic, refused: Composer) -> HttpResponse:
    return render_fragment(request, "messenger/threads/_composer.html", *_values_of(refused, opened), status=422)


def _respond_to_post(request: MessengerHttpRequest, posted: Posted) -> HttpResponse:
    message = posted.message
    if wants_fragment(request):
        # Include whatever was posted since the page's last message, so that the thread has no gap.
        last_shown = parse_sequence(request.POST.get("after", ""))
        start = message.sequence - 1 if last_shown is None else min(last_shown, message.sequence - 1)
        if posted.is_new and start == message.sequence - 1:
            return HttpResponse(pages.new(message, posted.previous, request.member), status=201)
        return HttpResponse(pages.after(message.topic, start, request.member).html, status=201)
    response = redirect("messenger:thread", request.member.tenancy.slug, message.topic_id)
    response.status_code = 303
    response["Location"] += f"#message-{message.sequence}"
    return response


def _open_topic(request: MessengerHttpRequest, pk: int) -> ThreadTopic:
    try:
        opened = topic_for(request.member, pk)
    except Topic.DoesNotExist:
        raise Http404 from None
    request.sees_messenger = True
    return opened


def _requested_page(request: MessengerHttpRequest, opened: ThreadTopic) -> pages.Page:
    for name, page in (("before", pages.before), ("after", pages.after), ("at", pages.around)):
        if name in request.GET:
            sequence = parse_sequence(request.GET[name])
            if sequence is None:
                raise Http404
            return page(opened.topic, sequence, request.member)
    if "latest" in request.GET:
        return pages.latest(opened.topic, request.member)
    return pages.opening(opened.topic, request.member, opened.read_up_to)


def _requested_quotation(request: MessengerHttpRequest, topic: Topic) -> str:
    """The message named by `?quote=` as a Markdown quote; empty without the parameter."""
    if "quote" not in request.GET:
        return ""
    sequence = parse_sequence(request.GET["quote"]) or 0
    quoted = get_object_or_404(topic.messages.select_related("author"), sequence=sequence)
    return "" if quoted.removed_at else quotation_of(quoted)  # the reply to a removed message starts empty


def _render_thread(
    request: MessengerHttpRequest,
    opened: ThreadTopic,
    page: pages.Page,
    composer: Composer,
    status: int = 200,
) -> HttpResponse:
    topic = opened.topic
    variant, values = _values_of(composer, opened)
    variant |= {
        "topic.is_muted": opened.is_muted,
        "page.is_empty": page.is_empty,
        "page.has_older": page.has_older,
        "page.has_newer": page.has_newer,
        "has_unread": page.last > opened.read_up_to,
    }
    values |= {
        "topic.name": topic.name,
        "topic.group.pk": topic.group_id,
        "topic.revision": topic.revision,
        "topic.last_sequence": topic.last_sequence,
        "topic.read_up_to": opened.read_up_to,
        "page.html": page.html,
        "page.first": page.first,
        "page.last": page.last,
    }
    return render_page(request, "messenger/threads/thread.html", variant, values, status)


def _values_of(composer: Composer, opened: ThreadTopic) -> tuple[dict[str, Any], dict[str, PlaceholderValue]]:
    """`variant` and `values` of templates/messenger/threads/_composer.html (see `render_skeleton`)."""
    forecast = ForecastText.of(opened.topic, opened.recipients)
    return {
        "topic.people": opened.people,
        "forecast.is_emailed": forecast.is_emailed,
        "forecast.turns": forecast.turns,
        "composer.is_refused": bool(composer.error),
        "composer.is_previewed": composer.preview is not None,
    }, {
        "topic.pk": opened.topic.pk,
        "topic.group.name": opened.group_name,
        "forecast.now": forecast.now,
        "forecast.seconds": forecast.seconds,
        "forecast.then": forecast.then,
        "composer.client_id": composer.client_id,
        "composer.body": composer.body,
        "composer.error": composer.error,
        "composer.preview": composer.preview or "",
    }
