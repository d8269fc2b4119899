from collections.abc import Callable
from typing import Any, cast

from django.http import Http404, HttpRequest, HttpResponse

from accounts.models import User
from common.database.prepared import Prepared, columns, instance
from tenancy.http import MemberHttpRequest
from tenancy.models import Member, Tenancy
from tenancy.page_owner import is_made_for_another, owners_named, refuse

ACTIVE_MEMBER = Prepared(
    "active_member",
    lambda user, slug: (
        Member.objects.active()
        .filter(user=user, tenancy__slug=slug)
        .values_list(*columns(Member), *columns(Tenancy, "tenancy__"))
    ),
    "bigint",
    "text",
)


def find_member(user: User, slug: str) -> Member:
    """The user's active membership in the tenancy with this slug. Raises Member.DoesNotExist."""
    rows = ACTIVE_MEMBER(user.pk, slug)
    if not rows:
        raise Member.DoesNotExist
    member_width = len(columns(Member))
    member = instance(Member, rows[0][:member_width])
    member.tenancy = instance(Tenancy, rows[0][member_width:])
    member.user = user
    return member


def current_member(request: HttpRequest, slug: str) -> Member:
    """The same for the signed-in user. In most cases the session was loaded together with this member."""
    user = cast("User", request.user)
    member = getattr(request.session, "member", None)
    if member is None or member.user_id != user.pk or member.tenancy.slug != slug:
        return find_member(user, slug)
    member.user = user
    return cast("Member", member)


class CurrentMemberMiddleware:
    """Below `/<tenancy>/`, sets `request.member`. Users without an active membership get 404.

    Requests of pages that were made for another member are refused (tenancy/page_owner.py).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        slug = kwargs.pop("tenancy_slug", None)
        if slug is None:
            return None
        user, owners = cast("User", request.user), owners_named(request)
        try:
            member = current_member(request, slug)
        except Member.DoesNotExist:
            if is_made_for_another(owners, user, None):
                return refuse(request, user.email)
            raise Http404 from None
        cast("MemberHttpRequest", request).member = member
        return refuse(request, member.name) if is_made_for_another(owners, user, member) else None
