"""Members, a room and its messages, by the interface that every client has."""

import hmac
import json
import secrets
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

CLIENT = "/_matrix/client/v3"
REGISTER = "/_synapse/admin/v1/register"
MEMBERS = 10
AT_ONCE = 4
SECONDS = 60


@dataclass(frozen=True)
class Room:
    room_id: str
    token: str
    """Of a member that reads and writes."""

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Room":
        return cls(**json.loads(text))


def fill_room(base: str, secret: str, messages: int) -> Room:
    tokens = [_register(base, secret) for _ in range(MEMBERS)]
    settings = {"preset": "public_chat", "name": f"Payroll {messages}"}
    room_id = _call(base, f"{CLIENT}/createRoom", settings, tokens[0])["room_id"]
    address = f"{CLIENT}/rooms/{quote(room_id)}"
    for token in tokens[1:]:
        _call(base, f"{address}/join", {}, token)

    def send(number: int) -> None:
        text = (
            f"Message {number}: the payslips of March are ready; please look at the overtime of "
            "the night shift before Friday noon, and say if a line is missing."
        )
        body = {"msgtype": "m.text", "body": text}
        _call(base, f"{address}/send/m.room.message", body, tokens[number % MEMBERS])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(send, range(1, messages)))
    send(messages)

    page = _call(base, f"{address}/messages?dir=b&limit=50", None, tokens[1])["chunk"]
    if len(page) != min(messages, 50) or f"Message {messages}:" not in page[0]["content"]["body"]:
        raise RuntimeError(f"the room does not show what was filled in: {page[:1]}")
    return Room(room_id, tokens[1])


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
