"""Synapse, a chat server: the last 50 messages of a room as JSON, and posting a message. It has no list of topics."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from bench.load import LUA
from bench.targets import Request, Target
from ippex_messenger.embedded.home import Home

from ._environment import SITES
from ._peer import Peer
from ._process import PeerProcess
from ._servers import connection_environment
from ._synapse_configuration import write_configuration
from ._synapse_filling import MEMBERS, Room, Rooms, check_last_page, open_room, post_message

# Synapse refuses to run with any other locale.
LOCALE = "TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"


class Synapse(Peer):
    """Synapse in one process, its default setup. More processes would need a proxy that distributes the requests."""

    def fill_database(self, home: Home, messages: int) -> str:
        with self._running() as base:
            rooms = Rooms(*(open_room(base, home.secret_key, f"{what} {messages}") for what in ("Read", "Answer")))
        first, last = MEMBERS + 1, messages - 1
        arguments = [str(self.environment.folder), rooms.read.room_id, str(first), str(last)]
        variables = connection_environment(home, self.name)
        self.environment.run([str(SITES / "synapse_lengthen.py"), *arguments], variables)
        with self._running() as base:
            post_message(base, rooms.read, messages)  # proves that the server can continue from the copied messages
            check_last_page(base, rooms.read, messages)
        return rooms.as_json()

    def start_server(self, home: Home, port: int) -> PeerProcess:
        folder = self.environment.folder
        module = ["-m", "synapse.app.homeserver", "--config-path", str(write_configuration(folder, home, port))]
        variables = connection_environment(home, self.name)
        self.environment.run([*module, "--generate-keys"], variables)
        command = [str(self.environment.python), *module]
        process = PeerProcess(self.name, command, folder, variables, folder / "server.log")
        process.wait_for(port, "/health")
        return process

    def thread_page(self) -> Request:
        room = self._rooms.read
        return Request(path=f"{room.path}/messages?dir=b&limit=50", headers=_headers(room))

    def post(self) -> Request:
        """The path has no transaction id, so that identical requests make separate messages."""
        room = self._rooms.answered
        text = "The overtime of the night shift is in, @UUID@. Please look at it again."
        return Request(
            method="POST",
            path=f"{room.path}/send/m.room.message",
            headers={**_headers(room), "Content-Type": "application/json"},
            body=json.dumps({"msgtype": "m.text", "body": text}),
            lua=LUA / "posts.lua",
        )

    def topic_list(self) -> Request | None:
        return None

    @property
    def _rooms(self) -> Rooms:
        return Rooms.from_json(self.fill_result)

    @contextmanager
    def _running(self) -> Iterator[str]:
        base = self.start()
        try:
            yield base
        finally:
            self.stop()


def _headers(room: Room) -> dict[str, str]:
    return {"Authorization": f"Bearer {room.tokens[1]}"}


def target() -> Target:
    return Synapse("synapse", LOCALE)
