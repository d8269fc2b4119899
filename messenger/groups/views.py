"""Administration > User groups > Messenger users."""

from django.contrib import messages
from django.db import IntegrityError
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from common.database.constraints import violates
from messenger.groups.forms import NAME_TAKEN, GroupForm
from messenger.groups.services import history_of, save_group
from messenger.groups.tables import GroupFilter, GroupTable, MembershipFilter, MembershipTable
from messenger.models import GroupMembership, MessengerGroup
from tenancy.http import MemberHttpRequest, administrators_only
from tenancy.tables import as_csv, listed


@require_safe
def groups(request: MemberHttpRequest) -> HttpResponse:
    _require_access(request)
    rows = MessengerGroup.objects.listed_for(request.member).with_member_count()
    context = listed(request, GroupFilter, GroupTable, rows)
    if request.GET.get("format") == "csv":
        return as_csv(context["table"], f"messenger-groups-{request.member.tenancy.slug}")
    return render(request, "messenger/groups/groups.html", context)


@require_safe
def group(request: MemberHttpRequest, pk: int) -> HttpResponse:
    """The tab “Group information”."""
    return render(request, "messenger/groups/group.html", {"group": _listed_group(request, pk), "tab": "information"})


@require_safe
def users(request: MemberHttpRequest, pk: int) -> HttpResponse:
    """The tab “Users”."""
    group = _listed_group(request, pk)
    memberships = GroupMembership.objects.open().filter(group=group).select_related("member__user")
    context = listed(request, MembershipFilter, MembershipTable, memberships)
    if request.GET.get("format") == "csv":
        return as_csv(context["table"], f"messenger-users-{group.pk}")
    return render(request, "messenger/groups/group_users.html", {**context, "group": group, "tab": "users"})


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def create(request: MemberHttpRequest) -> HttpResponse:
    tenancy = request.member.tenancy
    draft = MessengerGroup(tenancy=tenancy)
    form = GroupForm(request.POST if request.method == "POST" else None, instance=draft, tenancy=tenancy)
    if request.method == "POST" and form.is_valid() and _try_to_save(form):
        messages.success(request, _("The messenger group “%(name)s” has been created.") % {"name": draft.name})
        return redirect("messenger_users:users", tenancy.slug, draft.pk)
    return render(request, "messenger/groups/group_new.html", {"form": form}, status=422 if form.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@administrators_only
def edit(request: MemberHttpRequest, pk: int) -> HttpResponse:
    group = _listed_group(request, pk)
    # Validating the form changes the group, even if the data is invalid. The page shows the saved name.
    name = group.name
    form = GroupForm(request.POST if request.method == "POST" else None, instance=group, tenancy=request.member.tenancy)
    if request.method == "POST" and form.is_valid():
        newcomers = _newcomers(form)
        history = history_of(group)
        if newcomers and history.messages and request.POST.get("confirmed") != "1":
            context = {"group": group, "name": name, "newcomers": newcomers, "history": history}
            return render(request, "messenger/groups/group_confirm.html", context)
        if _try_to_save(form):
            messages.success(request, _("The changes to “%(name)s” have been saved.") % {"name": group.name})
            return redirect("messenger_users:users", request.member.tenancy.slug, group.pk)
    context = {"form": form, "group": group, "name": name}
    return render(request, "messenger/groups/group_edit.html", context, status=422 if form.errors else 200)


def _require_access(request: MemberHttpRequest) -> None:
    """While Messenger is off, only administrators see “Messenger users” (product, reading 7)."""
    if not (request.member.is_administrator or request.member.tenancy.messenger_enabled):
        raise Http404


def _listed_group(request: MemberHttpRequest, pk: int) -> MessengerGroup:
    groups = MessengerGroup.objects.listed_for(request.member).select_related("tenancy").with_member_count()
    return get_object_or_404(groups, pk=pk)


def _newcomers(form: GroupForm) -> list[str]:
    """The names of the members who would join, sorted."""
    present = set(form.initial.get("users", []))
    return sorted((member.name for member in form.selected_members() if member.pk not in present), key=str.casefold)


def _try_to_save(form: GroupForm) -> bool:
    """False if the name has been taken in the meantime; the form then has the error."""
    try:
        save_group(form.instance, form.selected_members())
    except IntegrityError as error:
        if not violates(error, "group_name_unique_in_tenancy"):
            raise
        form.add_error("name", NAME_TAKEN)
        return False
    return True
