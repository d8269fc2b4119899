"""The members of a Django peer, and a signed-in visitor who checks that the pages show the messages."""

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

    def check(self, path: str, *texts: str) -> None:
        """Exit unless the page at `path` contains these texts."""
        response = self.client.get(path, headers={"host": "127.0.0.1"})
        page = response.content.decode()
        missing = [text for text in texts if text not in page]
        if response.status_code != 200 or missing:
            raise SystemExit(f"{path} returns {response.status_code} and does not show {missing}")


def members() -> list[Any]:
    """All members; creates them if there are none."""
    model: Any = get_user_model()  # the peer's
    if not model.objects.filter(username="member-0").exists():
        model.objects.bulk_create(model(username=f"member-{number}") for number in range(MEMBERS))
    return list(model.objects.filter(username__startswith="member-").order_by("pk"))


def vacuum() -> None:
    """Put the tables into the state that autovacuum would reach after a while."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def sign_in(user: Any) -> Visitor:
    client = Client()
    client.force_login(user)
    return Visitor(client.cookies["sessionid"].value, secrets.token_hex(16), client)
