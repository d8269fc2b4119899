"""Members, rooms and what they say, by the interface that every client has."""

import hmac
import json
import secrets
import urllib.request
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

CLIENT = "/_matrix/client/v3"
REGISTER = "/_synapse/admin/v1/register"
MEMBERS = 10
SECONDS = 60


@dataclass(frozen=True)
class Room:
    """Read with its last message on top; `tokens` are its members'."""

    room_id: str
    tokens: list[str]

    @property
    def address(self) -> str:
        return f"{CLIENT}/rooms/{quote(self.room_id)}"


@dataclass(frozen=True)
class Rooms:
    read: Room
    answered: Room
    """Of its own, so that the one that is read keeps its length."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Rooms":
        return cls(**{name: Room(**room) for name, room in json.loads(text).items()})


def open_room(base: str, secret: str, name: str) -> Room:
    """A room in which each member has said something."""
    tokens = [_register(base, secret) for _ in range(MEMBERS)]
    settings = {"preset": "public_chat", "name": name}
    room = Room(_call(base, f"{CLIENT}/createRoom", settings, tokens[0])["room_id"], tokens)
    for token in tokens[1:]:
        _call(base, f"{room.address}/join", {}, token)
    for number in range(1, MEMBERS + 1):
        say(base, room, number)
    return room


def say(base: str, room: Room, number: int) -> None:
    text = (
        f"Message {number}: the payslips of March are ready; please look at the overtime of "
        "the night shift before Friday noon, and say if a line is missing."
    )
    body = {"msgtype": "m.text", "body": text}
    _call(base, f"{room.address}/send/m.room.message", body, room.tokens[number % len(room.tokens)])


def must_see(base: str, room: Room, last: int) -> None:
    page = _call(base, f"{room.address}/messages?dir=b&limit=50", None, room.tokens[1])["chunk"]
    seen = [event["content"].get("body", "").partition(":")[0] for event in page]
    wanted = [f"Message {number}" for number in range(last, max(last - 50, 0), -1)]
    if seen[: len(wanted)] != wanted:
        raise RuntimeError(f"the room does not show its last messages: {seen}")


def _register(base: str, secret: str) -> str:
    nonce = _call(base, REGISTER)["nonce"]
    name, password = f"member-{secrets.token_hex(8)}", secrets.token_urlsafe(24)
    mac = hmac.new(secret.encode(), "\0".join([nonce, name, password, "notadmin"]).encode(), "sha1").hexdigest()
    registration = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
    return _call(base, REGISTER, registration)["access_token"]


def _call(base: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> Any:
    request = urllib.request.Request(
        base + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)
