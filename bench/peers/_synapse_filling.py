"""Creates members, rooms and messages through Synapse's client API."""

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
    room_id: str
    tokens: list[str]  # access tokens of its members

    @property
    def path(self) -> str:
        return f"{CLIENT}/rooms/{quote(self.room_id)}"


@dataclass(frozen=True)
class Rooms:
    read: Room
    answered: Room
    """A separate room for posts, so that the one that is read keeps its length."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Rooms":
        return cls(**{name: Room(**room) for name, room in json.loads(text).items()})


def open_room(base: str, secret: str, name: str) -> Room:
    """Create a room with MEMBERS members and one message of each."""
    tokens = [_register(base, secret) for _ in range(MEMBERS)]
    settings = {"preset": "public_chat", "name": name}
    room = Room(_call(base, f"{CLIENT}/createRoom", settings, tokens[0])["room_id"], tokens)
    for token in tokens[1:]:
        _call(base, f"{room.path}/join", {}, token)
    for number in range(1, MEMBERS + 1):
        post_message(base, room, number)
    return room


def post_message(base: str, room: Room, number: int) -> None:
    text = (
        f"Message {number}: the payslips of March are ready; please look at the overtime of "
        "the night shift before Friday noon, and say if a line is missing."
    )
    body = {"msgtype": "m.text", "body": text}
    _call(base, f"{room.path}/send/m.room.message", body, room.tokens[number % len(room.tokens)])


def check_last_page(base: str, room: Room, last: int) -> None:
    page = _call(base, f"{room.path}/messages?dir=b&limit=50", None, room.tokens[1])["chunk"]
    shown = [event["content"].get("body", "").partition(":")[0] for event in page]
    expected = [f"Message {number}" for number in range(last, max(last - 50, 0), -1)]
    if shown[: len(expected)] != expected:
        raise RuntimeError(f"the room does not show its last messages: {shown}")


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
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return json.load(response)
