from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger.models import MessengerGroup, Topic
from messenger.reading.positions import mark_all_read, mark_read, mark_unread_from
from messenger.web.requests import MessengerHttpRequest, parse_sequence

# A browser without JavaScript reports what was displayed by fetching this image.
EMPTY_IMAGE = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


@require_http_methods(["GET", "HEAD", "POST"])
def read(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Mark messages as read up to a sequence number: requested by a script, or as an image where there is none."""
    topic = get_object_or_404(Topic.objects.visible_to(request.member), pk=pk)
    sequence = parse_sequence((request.POST if request.method == "POST" else request.GET).get("up_to", ""))
    if sequence is None:
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    if request.method != "HEAD" and sequence:
        mark_read(topic, request.member, min(sequence, topic.last_sequence))
    if request.method == "POST":
        return HttpResponse(status=204)
    return HttpResponse(EMPTY_IMAGE, content_type="image/svg+xml")


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
