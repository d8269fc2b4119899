from contextlib import suppress

from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messenger.notifications.delivery.unsubscribe_links import find_subscription, make_undo_token, read_undo_token
from messenger.notifications.preferences.services import catch_up_frequency_of, set_subscribed


@csrf_exempt  # the request of a mail program has no token; the signed key in the path takes its place
@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def unsubscribe(request: HttpRequest, key: str) -> HttpResponse:
    """The page behind an unsubscribe link: only a POST changes anything, as programs may open the link (RFC 8058)."""
    try:
        subscription = find_subscription(key)
    except (signing.BadSignature, ObjectDoesNotExist):
        raise Http404 from None
    is_subscribed = None  # unknown to the page until a button is pressed
    frequency = catch_up_frequency_of(subscription)
    if "again" in request.POST:
        # An expired token does nothing: the link alone can only end mails, not resume them.
        with suppress(signing.BadSignature):
            frequency, is_subscribed = read_undo_token(request.POST["again"], key), True
    elif request.method == "POST":
        is_subscribed = False
    if is_subscribed is not None:
        set_subscribed(subscription, is_subscribed, frequency)
    context = {
        "is_about_topic": subscription.topic is not None,
        "is_subscribed": is_subscribed,
        "undo": make_undo_token(key, frequency),
    }
    return render(request, "messenger/notifications/unsubscribe.html", context)
