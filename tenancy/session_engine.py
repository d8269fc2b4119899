"""Sessions that also know who their user is in the tenancy that is asked for: who asks is one statement."""

import re
from typing import Any, cast

from django.contrib.sessions.middleware import SessionMiddleware as DjangosSessionMiddleware
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.sessions import MOMENTS, UserSessionStore
from common.database.prepared import Prepared, columns, instance
from tenancy.models import Member, Tenancy
from tenancy.validators import RESERVED_SLUGS, SLUG_PATTERN

OPEN = Prepared(
    "session_user_and_member",
    lambda key, now, slug: (
        Member.objects.active()
        .filter(tenancy__slug=slug, user__sessions__session_key=key, user__sessions__expire_date__gt=now)
        .values_list(
            "user__sessions__session_data",
            *columns(User, "user__", MOMENTS),
            *columns(Member, exclude=MOMENTS),
            *columns(Tenancy, "tenancy__", MOMENTS),
        )
    ),
    "text",
    "timestamptz",
    "text",
)
_SLUG = re.compile(SLUG_PATTERN)
_USER_ENDS = 1 + len(columns(User, exclude=MOMENTS))
_MEMBER_ENDS = _USER_ENDS + len(columns(Member, exclude=MOMENTS))


class SessionStore(UserSessionStore):
    slug = ""  # of the tenancy that is asked for
    # An active one, of the user whom the row of the session names; whether that is who is signed in, it does not say.
    member: Member | None = None

    def find(self, key: str | None) -> tuple[str, tuple[Any, ...]] | None:
        rows = OPEN(key, timezone.now(), self.slug) if self.slug else []
        if not rows:
            return super().find(key)
        data, user = rows[0][0], rows[0][1:_USER_ENDS]
        self.member = instance(Member, rows[0][_USER_ENDS:_MEMBER_ENDS], MOMENTS)
        self.member.tenancy = instance(Tenancy, rows[0][_MEMBER_ENDS:], MOMENTS)
        return data, user


class SessionMiddleware(DjangosSessionMiddleware):
    """Django's, which also says what tenancy is asked for: the first part of a path is its slug."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        slug = request.path_info.removeprefix("/").partition("/")[0]
        if _SLUG.fullmatch(slug) and slug not in RESERVED_SLUGS:
            cast("SessionStore", request.session).slug = slug
