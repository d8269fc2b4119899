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
    """Redirects to the first tab."""
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
    return _tab(request, "notifications", NotificationsForm)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def messages_tab(request: MemberHttpRequest) -> HttpResponse:
    return _tab(request, "messages", MessagesForm)


def _tab(request: MemberHttpRequest, tab: str, form_class: type[NotificationsForm | MessagesForm]) -> HttpResponse:
    """A tab that only updates columns of the tenancy, without side effects."""
    tenancy = request.member.tenancy
    form = form_class(request.POST if request.method == "POST" else None, instance=tenancy)
    if request.method == "POST" and form.is_valid():
        tenancy.save(update_fields=form_class.Meta.fields)
        messages.success(request, _("The settings have been saved and apply from now on."))
        return redirect(f"tenancy:{tab}", tenancy.slug)
    return render(request, f"tenancy/{tab}.html", {"form": form, "tab": tab}, status=422 if form.errors else 200)
