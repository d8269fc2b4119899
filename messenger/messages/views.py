"""Views of a single message: its menu, editing, history, removal."""

from django.contrib import messages as banners
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common.fragments import wants_fragment
from messenger.markup.mentions import shown_to
from messenger.messages.editing import NotYoursError, TooLateError, edit_message, may_edit, may_remove, remove_message
from messenger.messages.forms import EditForm, RemovalForm
from messenger.messages.rendering import Reader, fetch_rows, render_rows
from messenger.models import Message
from messenger.web.requests import MessengerHttpRequest


@require_safe
def message(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """The actions on a message: a menu over the thread, or a page."""
    found = _visible_message(request, pk, sequence)
    context = {
        "message": found,
        "topic": found.topic,
        "row": _row(request, found),
        "may_edit": may_edit(found, request.member, timezone.now()),
        "may_remove": may_remove(found, request.member),
    }
    return render(request, _fragment_or_page(request, "message"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    found = _visible_message(request, pk, sequence)
    if found.author_id != request.member.pk:
        raise PermissionDenied
    # Distinct element ids: in a dialog, the composer is on the same page.
    data = request.POST if request.method == "POST" else None
    form = EditForm(data, initial={"body": found.body}, auto_id="id_edited_%s")
    is_too_late = not may_edit(found, request.member, timezone.now())
    if request.method == "POST" and form.is_valid():
        try:
            edit_message(pk, sequence, request.member, form.cleaned_data["body"])
        except Message.DoesNotExist:
            raise Http404 from None
        except (TooLateError, NotYoursError):
            is_too_late = True
        else:
            return _to_message(request, pk, sequence)
    if is_too_late and form.is_bound:
        form.add_error("body", _too_late(request))
    context = {"form": form, "message": found, "topic": found.topic, "is_too_late": is_too_late}
    status = 422 if form.errors else 200
    return render(request, _fragment_or_page(request, "message_edit"), context, status=status)


def _too_late(request: MessengerHttpRequest) -> str:
    minutes = request.member.tenancy.edit_minutes
    if not minutes:
        return _("Messages can't be edited in this tenancy. Post a new one instead.")
    return _("It is too late to edit this message. Post a new one instead; your text is still here.")


@require_safe
def history(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """The current and earlier texts of an edited message, latest first."""
    found = _visible_message(request, pk, sequence)
    earlier = list(found.versions.order_by("-replaced_at", "-pk").values_list("written_at", "body_html"))
    if not earlier:
        raise Http404
    texts = [(found.edited_at, found.body_html), *earlier]
    reader = request.member.pk
    versions = [(at, mark_safe(shown_to(reader, html))) for at, html in texts]  # noqa: S308  (sanitised when written)
    context = {"message": found, "topic": found.topic, "versions": versions}
    return render(request, _fragment_or_page(request, "message_history"), context)


@require_http_methods(["GET", "HEAD", "POST"])
def remove(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """Asks for confirmation first: a removed text cannot be restored."""
    found = _visible_message(request, pk, sequence)
    is_own = found.author_id == request.member.pk
    if found.removed_at is None and not may_remove(found, request.member):
        raise PermissionDenied
    form = None if is_own else RemovalForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and (form is None or form.is_valid()):
        try:
            remove_message(pk, sequence, request.member, form.cleaned_data["reason"] if form else "")
        except Message.DoesNotExist:
            raise Http404 from None
        except NotYoursError:
            raise PermissionDenied from None
        if not wants_fragment(request):
            banners.success(request, _("The message has been removed."))
        return _to_message(request, pk, sequence)
    context = {"form": form, "message": found, "topic": found.topic, "row": _row(request, found)}
    status = 422 if form is not None and form.errors else 200
    return render(request, _fragment_or_page(request, "message_remove"), context, status=status)


def _visible_message(request: MessengerHttpRequest, pk: int, sequence: int) -> Message:
    messages = Message.objects.visible_to(request.member).select_related("topic__group", "author")
    found = get_object_or_404(messages, topic=pk, sequence=sequence)
    request.sees_messenger = True
    return found


def _row(request: MessengerHttpRequest, found: Message) -> SafeString:
    """The message as the thread displays it."""
    rows = fetch_rows(Message.objects.visible_to(request.member).filter(pk=found.pk))
    return render_rows(rows, None, Reader.of(request.member, found.topic_id))


def _fragment_or_page(request: MessengerHttpRequest, name: str) -> str:
    return f"messenger/messages/_{name}.html" if wants_fragment(request) else f"messenger/messages/{name}.html"


def _to_message(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """The response to a change: a redirect to the message in its thread, or 204 for scripts, which fetch the change."""
    if wants_fragment(request):
        return HttpResponse(status=204)
    response = redirect("messenger:thread", request.member.tenancy.slug, pk)
    response["Location"] += f"?at={sequence}#message-{sequence}"
    return response
