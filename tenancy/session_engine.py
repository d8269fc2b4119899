"""Sessions loaded together with their user and the user's membership in the requested tenancy, in one statement."""

import re
from typing import Any, cast

from django.contrib.sessions.middleware import SessionMiddleware as DjangosSessionMiddleware
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from accounts.sessions import DEFERRED_COLUMNS, UserSessionStore
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
            *columns(User, "user__", DEFERRED_COLUMNS),
            *columns(Member, exclude=DEFERRED_COLUMNS),
            *columns(Tenancy, "tenancy__", DEFERRED_COLUMNS),
        )
    ),
    "text",
    "timestamptz",
    "text",
)
_SLUG = re.compile(SLUG_PATTERN)
_USER_END = 1 + len(columns(User, exclude=DEFERRED_COLUMNS))
_MEMBER_END = _USER_END + len(columns(Member, exclude=DEFERRED_COLUMNS))


class SessionStore(UserSessionStore):
    slug = ""  # of the requested tenancy
    # The active membership of the user in the session's row, who is not necessarily the signed-in user: see
    # tenancy.middleware.current_member.
    member: Member | None = None

    def find(self, key: str | None) -> tuple[str, tuple[Any, ...]] | None:
        rows = OPEN(key, timezone.now(), self.slug) if self.slug else []
        if not rows:
            return super().find(key)
        data, user = rows[0][0], rows[0][1:_USER_END]
        self.member = instance(Member, rows[0][_USER_END:_MEMBER_END], DEFERRED_COLUMNS)
        self.member.tenancy = instance(Tenancy, rows[0][_MEMBER_END:], DEFERRED_COLUMNS)
        return data, user


class SessionMiddleware(DjangosSessionMiddleware):
    """Django's middleware, which also passes the tenancy's slug (the first part of the path) to the session."""

    def process_request(self, request: HttpRequest) -> None:
        super().process_request(request)
        slug = request.path_info.removeprefix("/").partition("/")[0]
        if _SLUG.fullmatch(slug) and slug not in RESERVED_SLUGS:
            cast("SessionStore", request.session).slug = slug
