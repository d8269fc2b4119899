"""Sessions in the database, loaded together with their user in one statement.

Django needs two: the second one looks up the user that the session names.
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

# Not loaded: no page shows these timestamps to the user themselves, and parsing them is slow compared to other columns.
DEFERRED_COLUMNS = frozenset({"last_login", "created_at"})

OPEN = Prepared(
    "session_and_user",
    lambda key, now: Session.objects.filter(session_key=key, expire_date__gt=now).values_list(
        "session_data", *columns(User, "user__", DEFERRED_COLUMNS)
    ),
    "text",
    "timestamptz",
)

# With the password hash: changing the password ends all earlier sessions.
STILL_OPEN = Prepared(
    "open_sessions",
    lambda keys, now: Session.objects.filter(session_key__one_of=keys, expire_date__gt=now).values_list(
        "session_key", "user__password"
    ),
    "text[]",
    "timestamptz",
)


class UserSessionStore(DatabaseStore):
    # Django derives the salt from the class name. Fixed, so that renaming a store does not invalidate sessions.
    key_salt = "django.contrib.sessions.SessionStore"
    # The user of the row as it was loaded. The session's data may name another user since then, or none.
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
        self.user = instance(User, user, DEFERRED_COLUMNS) if user[0] is not None else None
        return self.decode(data)

    def find(self, key: str | None) -> tuple[str, tuple[Any, ...]] | None:
        """The encoded data of an unexpired session and its user's columns (all None without a user), or None."""
        rows = OPEN(key, timezone.now())
        return (rows[0][0], rows[0][1:]) if rows else None

    def decode(self, session_data: bytes | str) -> dict[str, Any]:
        try:
            return dict(json.loads(_verified_json(session_data, self.key_salt)))
        except (BadSignature, ValueError):
            return super().decode(session_data)  # also logs the failure

    def create_model_instance(self, data: dict[str, Any]) -> AbstractBaseSession:
        session = cast("Session", super().create_model_instance(data))
        session.user_id = data.get(SESSION_KEY)
        return session


class _NullSerializer:
    """Returns the bytes unchanged, so that `signing.loads` checks the signature only."""

    def dumps(self, data: bytes) -> bytes:
        return data

    def loads(self, data: bytes) -> bytes:
        return data


# Cached, because checking the signature takes half the time of loading a session. Whether the session is still valid
# does not depend on this: its row is queried each time.
@lru_cache(maxsize=1_000)
def _verified_json(session_data: Any, salt: str) -> bytes:
    """The JSON of a session's data. Raises BadSignature."""
    return cast("bytes", signing.loads(session_data, salt=salt, serializer=_NullSerializer))


def signed_in_user(request: HttpRequest) -> User | AnonymousUser:
    """The user that was loaded with the session, after the checks of Django's `get_user`.

    If any of them fails, `get_user` decides (earlier secret keys, for example), with one more query.
    """
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
