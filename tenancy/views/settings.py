from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from tenancy.forms import FeaturesForm, MessagesForm, NotificationsForm
from tenancy.http import MemberHttpRequest, administrators_only
from tenancy.members import set_messenger_enabled


@require_safe
@administrators_only
def settings(request: MemberHttpRequest) -> HttpResponse:
    """The settings open on their first tab."""
    return redirect("tenancy:features", request.member.tenancy.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def features(request: MemberHttpRequest) -> HttpResponse:
    tenancy = request.member.tenancy
    form = FeaturesForm(request.POST if request.method == "POST" else None, instance=tenancy)
    if request.method == "POST" and form.is_valid():
        enabled = form.cleaned_data["messenger_enabled"]
        set_messenger_enabled(tenancy, enabled)
        messages.success(request, _("Messenger is on.") if enabled else _("Messenger is off."))
        return redirect("tenancy:features", tenancy.slug)
    return render(request, "tenancy/features.html", {"form": form, "tab": "features"})


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def notifications(request: MemberHttpRequest) -> HttpResponse:
    tenancy = request.member.tenancy
    form = NotificationsForm(request.POST if request.method == "POST" else None, instance=tenancy)
    if request.method == "POST" and form.is_valid():
        tenancy.save(update_fields=["mail_detail"])
        messages.success(request, _("The settings have been saved. They count for every e-mail from now on."))
        return redirect("tenancy:notifications", tenancy.slug)
    status = 422 if form.errors else 200
    return render(request, "tenancy/notifications.html", {"form": form, "tab": "notifications"}, status=status)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def messages_tab(request: MemberHttpRequest) -> HttpResponse:
    tenancy = request.member.tenancy
    form = MessagesForm(request.POST if request.method == "POST" else None, instance=tenancy)
    if request.method == "POST" and form.is_valid():
        tenancy.save(update_fields=["edit_minutes"])
        messages.success(request, _("The settings have been saved."))
        return redirect("tenancy:messages", tenancy.slug)
    status = 422 if form.errors else 200
    return render(request, "tenancy/messages.html", {"form": form, "tab": "messages"}, status=status)
