from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger.models import CatchUp, MessengerGroup, Topic
from messenger.notifications.preferences.forms import MailPreferenceForm
from messenger.notifications.preferences.services import preference_of, save_preference, set_muted
from messenger.web.requests import MessengerHttpRequest


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    if not MessengerGroup.objects.visible_to(member).exists():
        raise Http404
    request.sees_messenger = True
    form = MailPreferenceForm(request.POST if request.method == "POST" else None, instance=preference_of(member))
    if request.method == "POST" and form.is_valid():
        save_preference(form.instance)
        messages.success(request, _("Your preferences have been saved."))
        return redirect("messenger:preferences", member.tenancy.slug)
    muted = Topic.objects.visible_to(member).filter(mutes__member=member).select_related("group").by_name()
    last_catch_up = CatchUp.objects.filter(member=member).order_by("day").last()
    context = {"form": form, "muted_topics": muted, "last_catch_up": last_catch_up}
    return render(request, "messenger/notifications/preferences.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
def mute(request: MessengerHttpRequest, pk: int) -> HttpResponse:
    """Mute (`muted=1`) or unmute the topic for the signed-in member, and return to the page with the button."""
    topic = get_object_or_404(Topic.objects.visible_to(request.member), pk=pk)
    if request.method != "POST":  # the redirect after a sign-in is a GET
        return redirect("messenger:thread", request.member.tenancy.slug, pk)
    muted = request.POST.get("muted") == "1"
    set_muted(topic, request.member, muted)
    confirmation = (
        _("You will get no more e-mails about “%(name)s”. You can still read it here.")
        if muted
        else _("You will get e-mails about “%(name)s” again.")
    )
    messages.success(request, confirmation % {"name": topic.name})
    if request.POST.get("from") == "preferences":
        return redirect("messenger:preferences", request.member.tenancy.slug)
    return redirect("messenger:thread", request.member.tenancy.slug, pk)
