from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from common.fragments import wants_fragment
from messenger.access import MessageQuerySet
from messenger.messages.rendering import fetch_rows, outcome_of
from messenger.models import Message
from messenger.notifications.explanations.record import record_of
from messenger.notifications.explanations.wording import decision_in_words
from messenger.web.requests import MessengerHttpRequest
from tenancy.pagination import page_number
from tenancy.validators import NAME_MAX_LENGTH


@require_safe
def record(request: MessengerHttpRequest, pk: int, sequence: int) -> HttpResponse:
    """Who was e-mailed about a message and who was not: a page, or a fragment for a dialog over the thread."""
    member = request.member
    messages: MessageQuerySet = Message.objects.visible_to(member).filter(topic=pk, sequence=sequence)
    message = get_object_or_404(messages.select_related("topic__group", "author"))
    request.sees_messenger = True
    page, words = page_number(request), request.GET.get("q", "").strip()[:NAME_MAX_LENGTH]
    message_record = record_of(message, member, page, words)
    if not message_record.lines and page > 1:
        raise Http404
    context = {
        "message": message,
        "topic": message.topic,
        "record": message_record,
        "query": words,
        "outcome": outcome_of(fetch_rows(messages)[0]),
        "decision": decision_in_words(message.reason, message.interval_minutes, message.elapsed, message.addressees),
        "next_page": page + 1 if message_record.has_more else None,
        "previous_page": page - 1 or None,
    }
    return render(
        request,
        "messenger/messages/_record.html" if wants_fragment(request) else "messenger/messages/record.html",
        context,
    )
