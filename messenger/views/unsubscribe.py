from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.core.exceptions import ObjectDoesNotExist
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from messenger.choices import rhythm_of, set_subscribed
from messenger.models import MailChoice
from messenger.unsubscribe import find_subscription


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
    if request.method == "POST":
        is_subscribed = "again" in request.POST
        if request.POST.get("again") == MailChoice.CatchUp.WEEKDAYS:
            rhythm = MailChoice.CatchUp.WEEKDAYS  # as it was before the button was pressed
        set_subscribed(subscription, is_subscribed, rhythm)
    context = {
        "is_about_topic": subscription.topic is not None,
        "is_subscribed": is_subscribed,
        "rhythm": "" if subscription.topic else rhythm,
    }
    return render(request, "messenger/unsubscribe.html", context)
