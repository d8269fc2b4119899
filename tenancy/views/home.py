"""Start pages: the choice of a tenancy, its main menu and its Administration."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from tenancy.http import MemberHttpRequest
from tenancy.models import Member


@require_safe
def choose(request: HttpRequest) -> HttpResponse:
    members = list(
        Member.objects.active().filter(user=request.user.pk).select_related("tenancy").order_by("tenancy__name")
    )
    if len(members) == 1:
        return redirect(members[0].tenancy)
    return render(request, "tenancy/choose.html", {"members": members})


@require_safe
def menu(request: MemberHttpRequest) -> HttpResponse:
    return render(request, "tenancy/menu.html")


@require_safe
def administration(request: MemberHttpRequest) -> HttpResponse:
    return render(request, "tenancy/administration.html")
