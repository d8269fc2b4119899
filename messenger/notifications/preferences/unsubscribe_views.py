from contextlib import suppress

from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messenger.notifications.delivery.unsubscribe_links import find_subscription, read_undo, undo_of
from messenger.notifications.preferences.services import rhythm_of, set_subscribed


@csrf_exempt  # a mail program's button has no token; the key in the path is the proof
@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def unsubscribe(request: HttpRequest, key: str) -> HttpResponse:
    """What the link in a mail opens: a button. Programs that look at links change nothing (RFC 8058)."""
    try:
        subscription = find_subscription(key)
    except (signing.BadSignature, ObjectDoesNotExist):
        raise Http404 from None
    is_subscribed = None  # not said before the button is pressed
    rhythm = rhythm_of(subscription)
    if "again" in request.POST:
        # Of an old page it does nothing: the link itself ends mails, and never begins any.
        with suppress(signing.BadSignature):
            rhythm, is_subscribed = read_undo(request.POST["again"], key), True
    elif request.method == "POST":
        is_subscribed = False
    if is_subscribed is not None:
        set_subscribed(subscription, is_subscribed, rhythm)
    context = {
        "is_about_topic": subscription.topic is not None,
        "is_subscribed": is_subscribed,
        "undo": undo_of(key, rhythm),
    }
    return render(request, "messenger/notifications/unsubscribe.html", context)
