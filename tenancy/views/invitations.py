from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.core import signing
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.models import User
from common.jobs import enqueue_on_commit
from tenancy.forms import NewPasswordForm
from tenancy.http import MemberHttpRequest, administrators_only
from tenancy.invitations import accept, accept_as_new_user, find_invitation, renew
from tenancy.models import Invitation


@require_safe
@administrators_only
def invitation(request: MemberHttpRequest, pk: int) -> HttpResponse:
    invited = get_object_or_404(Invitation, tenancy=request.member.tenancy, pk=pk)
    return render(request, "tenancy/invitation.html", {"invitation": invited})


@require_POST
@administrators_only
def send_again(request: MemberHttpRequest, pk: int) -> HttpResponse:
    with transaction.atomic():
        invited = get_object_or_404(Invitation.objects.select_for_update(), tenancy=request.member.tenancy, pk=pk)
        renew(invited)
        enqueue_on_commit("tenancy.tasks.send_due_invitations")
    messages.success(request, _("The invitation to %(name)s has been sent again.") % {"name": invited.name})
    return redirect("tenancy:users", request.member.tenancy.slug)


@require_POST
@administrators_only
def withdraw(request: MemberHttpRequest, pk: int) -> HttpResponse:
    invited = get_object_or_404(Invitation, tenancy=request.member.tenancy, pk=pk)
    invited.delete()
    messages.success(request, _("The invitation to %(name)s has been withdrawn.") % {"name": invited.name})
    return redirect("tenancy:users", request.member.tenancy.slug)


@sensitive_post_parameters("password1", "password2")
@require_http_methods(["GET", "HEAD", "POST"])
@login_not_required
def accept_invitation(request: HttpRequest, key: str) -> HttpResponse:
    """The page behind the mailed link.

    New users choose a password, existing users sign in and accept with one button.
    """
    try:
        invited = find_invitation(key)
    except signing.BadSignature:
        raise Http404 from None
    if invited is None:
        return render(request, "tenancy/invitation_gone.html", status=410)

    try:
        return _respond(request, invited)
    except Invitation.DoesNotExist:  # accepted, withdrawn or sent again since it was found
        return render(request, "tenancy/invitation_gone.html", status=410)


def _respond(request: HttpRequest, invited: Invitation) -> HttpResponse:
    user = User.objects.with_address(invited.email).first()
    if user is None and not request.user.is_authenticated:
        return _respond_to_new_user(request, invited)
    if user is None or request.user != user:
        return render(request, "tenancy/invitation_sign_in.html", {"invitation": invited})
    if request.method == "POST":
        return redirect(accept(invited, user).tenancy)
    return render(request, "tenancy/invitation_accept.html", {"invitation": invited})


def _respond_to_new_user(request: HttpRequest, invited: Invitation) -> HttpResponse:
    form = NewPasswordForm(request.POST if request.method == "POST" else None, email=invited.email)
    if request.method == "POST" and form.is_valid():
        member = accept_as_new_user(invited, form.cleaned_data["password1"], form.cleaned_data["time_zone"])
        login(request, member.user)
        return redirect(member.tenancy)
    context = {"form": form, "invitation": invited}
    return render(request, "tenancy/invitation_password.html", context, status=422 if form.errors else 200)
