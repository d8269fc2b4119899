"""Requests of the composer: the people who can be mentioned, and messages to quote."""

from django.db.models import Count
from django.http import HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from messenger.markup.quoting import quotation_of
from messenger.models import Message, Topic
from messenger.web.requests import MessengerHttpRequest


@require_safe
def people(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """The names of a topic's other current readers, each with the number of people who have it."""
    topic = get_object_or_404(Topic.objects.visible_to(request.member), pk=pk)
    others = topic.readers().exclude(pk=request.member.pk)
    names = others.values("name").annotate(count=Count("pk")).order_by("name")
    return JsonResponse({"people": list(names)})


@require_safe
def quotation(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """A message as a Markdown quote, for the composer of an open page."""
    messages = Message.objects.visible_to(request.member).filter(topic=pk, sequence=sequence, removed_at=None)
    message = get_object_or_404(messages.select_related("author"))
    return HttpResponse(quotation_of(message), content_type="text/plain; charset=utf-8")
