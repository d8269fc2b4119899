from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from tenancy.models import Member

P = ParamSpec("P")


class MemberHttpRequest(HttpRequest):
    """A request within a tenancy: CurrentMemberMiddleware has set `member`, and the user is signed in."""

    user: User
    member: Member


def administrators_only(
    view: Callable[Concatenate[MemberHttpRequest, P], HttpResponse],
) -> Callable[Concatenate[MemberHttpRequest, P], HttpResponse]:
    """Other members get 403, not 404: the existence of the page is no secret."""

    @wraps(view)
    def gate(request: MemberHttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.member.is_administrator:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return gate
