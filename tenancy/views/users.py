from django.contrib import messages
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common.database.constraints import violates
from common.jobs import enqueue_on_commit
from tenancy.forms import ALREADY_INVITED, InvitationForm, MemberForm
from tenancy.http import MemberHttpRequest, administrators_only
from tenancy.members import LastAdministratorError, save_member
from tenancy.models import Invitation, Member
from tenancy.tables import MemberFilter, MemberTable, as_csv, listed


@require_safe
@administrators_only
def users(request: MemberHttpRequest) -> HttpResponse:
    tenancy = request.member.tenancy
    members = Member.objects.filter(tenancy=tenancy).select_related("user")
    context = listed(request, MemberFilter, MemberTable, members)
    if request.GET.get("format") == "csv":
        return as_csv(context["table"], f"users-{tenancy.slug}")
    context["invitations"] = Invitation.objects.filter(tenancy=tenancy).order_by("-requested_at")
    return render(request, "tenancy/users.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def user(request: MemberHttpRequest, pk: int) -> HttpResponse:
    member = get_object_or_404(Member.objects.select_related("user"), tenancy=request.member.tenancy, pk=pk)
    name = member.name  # for the title: validating the form changes the member, even if it is invalid
    form = MemberForm(request.POST if request.method == "POST" else None, instance=member)
    if request.method == "POST" and form.is_valid():
        try:
            save_member(member)
        except LastAdministratorError as error:
            form.add_error("is_active" if not member.is_active else "is_administrator", error)
        else:
            messages.success(request, _("The changes to %(name)s have been saved.") % {"name": member.name})
            if member == request.member and not (member.is_active and member.is_administrator):
                return redirect("home")
            return redirect("tenancy:users", request.member.tenancy.slug)
    context = {"form": form, "edited": member, "name": name}
    return render(request, "tenancy/user.html", context, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def invite(request: MemberHttpRequest) -> HttpResponse:
    draft = Invitation(tenancy=request.member.tenancy, invited_by=request.member)
    form = InvitationForm(request.POST if request.method == "POST" else None, instance=draft)
    if request.method == "POST" and form.is_valid():
        try:
            with transaction.atomic():
                invitation = form.save()
                enqueue_on_commit("tenancy.tasks.send_due_invitations")
        except IntegrityError as error:  # another administrator has just invited the address
            if not violates(error, "invitation_once_per_address"):
                raise
            form.add_error("email", ALREADY_INVITED)
        else:
            messages.success(request, _("%(name)s has been invited.") % {"name": invitation.name})
            return redirect("tenancy:users", request.member.tenancy.slug)
    return render(request, "tenancy/invite.html", {"form": form}, status=422 if form.errors else 200)
