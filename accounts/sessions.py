"""Sessions in the database, each with its user: who asks is one statement.

Django's own would be two, the second with what the first one answered.
"""

import json
from functools import lru_cache
from typing import Any, cast

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.core import signing
from django.core.signing import BadSignature
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from accounts.models import Session, User
from common.database.prepared import Prepared, columns, instance

# No page of one's own shows when one came; to read a moment takes longer than the rest of a column.
MOMENTS = frozenset({"last_login", "created_at"})

OPEN = Prepared(
    "session_and_user",
    lambda key, now: Session.objects.filter(session_key=key, expire_date__gt=now).values_list(
        "session_data", *columns(User, "user__", MOMENTS)
    ),
    "text",
    "timestamptz",
)

# The hashed password tells whether it was changed, which ends every session of before.
STILL_OPEN = Prepared(
    "open_sessions",
    lambda keys, now: Session.objects.filter(session_key__one_of=keys, expire_date__gt=now).values_list(
        "session_key", "user__password"
    ),
    "text[]",
    "timestamptz",
)


class UserSessionStore(DatabaseStore):
    # Django's for a store of this name: whatever ours is called, sessions are signed alike.
    key_salt = "django.contrib.sessions.SessionStore"
    # Of the row as it was read; what the session says may be another one by now, or nobody.
    user: User | None = None

    @classmethod
    def get_model_class(cls) -> type[Session]:
        return Session

    def load(self) -> dict[str, Any]:
        found = self.find(self.session_key)
        if found is None:
            self._session_key = None
            return {}
        data, user = found
        self.user = instance(User, user, MOMENTS) if user[0] is not None else None
        return self.decode(data)

    def find(self, key: str | None) -> tuple[str, tuple[Any, ...]] | None:
        """What an open session holds, and the columns of its user: each None where it has none."""
        rows = OPEN(key, timezone.now())
        return (rows[0][0], rows[0][1:]) if rows else None

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            return dict(json.loads(_unsigned(session_data, self.key_salt)))
        except (BadSignature, ValueError):
            return super().decode(session_data)  # which says so

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        session = cast("Session", super().create_model_instance(data))
        session.user_id = data.get(SESSION_KEY)
        return session


class _AsItIs:
    """In place of a serializer."""

    def dumps(self, data: bytes) -> bytes:
        return data

    def loads(self, data: bytes) -> bytes:
        return data


# A row that is read again is signed as it was: half the time of reading a session. Whether it is open, the row says.
@lru_cache(maxsize=1_000)
def _unsigned(session_data: Any, salt: str) -> bytes:
    """The JSON of a session; raises BadSignature."""
    return cast("bytes", signing.loads(session_data, salt=salt, serializer=_AsItIs))


def signed_in_user(request: HttpRequest) -> User | AnonymousUser:
    """As Django's `get_user`, which asks the database once more; all but the plain case is left to it."""
    session = cast("UserSessionStore", request.session)
    user = session.user if session.get(SESSION_KEY) else None
    if (
        user is not None
        and user.is_active
        and session[SESSION_KEY] == str(user.pk)
        and session.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS
        and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
    ):
        return user
    return get_user(request)
