from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger.models import MessengerGroup, Topic
from messenger.reading.positions import mark_all_read, mark_read, mark_unread_from
from messenger.web.requests import MessengerHttpRequest, parse_sequence


@require_http_methods(["GET", "HEAD", "POST"])
def read(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Mark messages as read up to a sequence number: reported by a script, or by a button where there is none."""
    topic = get_object_or_404(Topic.objects.visible_to(request.member), pk=pk)
    sequence = parse_sequence(request.POST.get("up_to", "")) if request.method == "POST" else None
    if sequence:
        mark_read(topic, request.member, min(sequence, topic.last_sequence))
    if sequence is None or "back" in request.POST:
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    return HttpResponse(status=204)


@require_http_methods(["GET", "HEAD", "POST"])
def unread(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Mark messages as unread from one on. Redirects to the list: the thread would mark them as read again at once."""
    topic = get_object_or_404(Topic.objects.visible_to(request.member), pk=pk)
    if request.method != "POST":  # redirected here by a sign-in
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    sequence = parse_sequence(request.POST.get("sequence", ""))
    if not sequence or sequence > topic.last_sequence:
        raise Http404
    mark_unread_from(topic, request.member, sequence)
    messages.success(request, _("“%(name)s” is marked as unread from that message on.") % {"name": topic.name})
    return redirect("messenger:topics", request.member.tenancy.slug)


@require_http_methods(["GET", "HEAD", "POST"])
def read_all(request: MessengerHttpRequest) -> HttpResponse:
    if not MessengerGroup.objects.visible_to(request.member).exists():
        raise Http404
    if request.method == "POST":
        mark_all_read(request.member)
        messages.success(request, _("All messages are marked as read."))
    return redirect("messenger:topics", request.member.tenancy.slug)
