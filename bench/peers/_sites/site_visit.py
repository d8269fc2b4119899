"""The members, and the one who asks for the pages: signed in once, and sure to see what was filled in."""

import secrets
from dataclasses import dataclass
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

MEMBERS = 1000


@dataclass(frozen=True)
class Visitor:
    session: str
    csrf_token: str
    client: Client

    def cookies(self) -> dict[str, str]:
        return {"session": self.session, "csrf_token": self.csrf_token}

    def must_see(self, path: str, *texts: str) -> None:
        answer = self.client.get(path, headers={"host": "127.0.0.1"})
        page = answer.content.decode()
        missing = [text for text in texts if text not in page]
        if answer.status_code != 200 or missing:
            raise SystemExit(f"{path} answers {answer.status_code} and does not show {missing}")


def members() -> list[Any]:
    """The members, made when there are none yet."""
    model: Any = get_user_model()  # the peer's
    if not model.objects.filter(username="member-0").exists():
        model.objects.bulk_create(model(username=f"member-{number}") for number in range(MEMBERS))
    return list(model.objects.filter(username__startswith="member-").order_by("pk"))


def tidy_up() -> None:
    """What the database does by itself after a while."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def signed_in(user: Any) -> Visitor:
    client = Client()
    client.force_login(user)
    return Visitor(client.cookies["sessionid"].value, secrets.token_hex(16), client)
