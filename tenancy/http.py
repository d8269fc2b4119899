from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from accounts.models import User
from tenancy.models import Member

P = ParamSpec("P")


class MemberHttpRequest(HttpRequest):
    """A request below a tenancy's path; CurrentMemberMiddleware made sure of both."""

    user: User
    member: Member


def administrators_only(
    view: Callable[Concatenate[MemberHttpRequest, P], HttpResponse],
) -> Callable[Concatenate[MemberHttpRequest, P], HttpResponse]:
    """403 for the other members: they may know that the page is there."""

    @wraps(view)
    def gate(request: MemberHttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.member.is_administrator:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return gate
