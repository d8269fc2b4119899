"""Synapse, a chat server: the last 50 messages of a room as JSON, a message to it. It has no list of topics."""

import json
from urllib.parse import quote

from bench.targets import Request
from ippex_messenger.embedded.home import free_port

from ._django import UNIQUE_BODY
from ._environment import Environment
from ._process import PeerProcess
from ._servers import SERVERS, SHARED, connection_environment, make_database
from ._synapse_configuration import write_configuration
from ._synapse_filling import Room, fill_room

CLIENT = "/_matrix/client/v3"
# It refuses to run on any other.
LOCALE = "TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"


class Synapse:
    """Its own server in one process, as its makers recommend up to hundreds of members."""

    name = "synapse"

    def __init__(self) -> None:
        self.environment = Environment(self.name)
        self._room: Room | None = None
        self._process: PeerProcess | None = None

    def install(self) -> None:
        self.environment.install()

    def fill(self, messages: int) -> None:
        # Beside the data: whoever throws the servers away throws this away too.
        record = SERVERS / f"{self.name}-{messages}.json"
        if not record.exists():
            home = SHARED.hold()
            try:
                make_database(home, self.name, LOCALE)
                base = self.start()
                try:
                    room = fill_room(base, home.secret_key, messages)
                finally:
                    self.stop()
            finally:
                SHARED.release()
            record.write_text(room.as_json())
        self._room = Room.from_json(record.read_text())

    def start(self) -> str:
        home = SHARED.hold()
        port = free_port()
        configuration = write_configuration(self.environment.folder, home, port)
        server = [str(self.environment.python), "-m", "synapse.app.homeserver", "--config-path", str(configuration)]
        variables = connection_environment(home, self.name)
        self.environment.run([*server[1:], "--generate-keys"], variables)
        log = self.environment.folder / "server.log"
        self._process = PeerProcess(self.name, server, self.environment.folder, variables, log)
        try:
            self._process.wait_for(port, "/health")
        except RuntimeError:
            SHARED.release()
            raise
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
            SHARED.release()

    def thread_page(self) -> Request:
        return Request(path=f"{self._address()}/messages?dir=b&limit=50", headers=self._headers())

    def post(self) -> Request:
        """Without a number of its own in the path: two that are the same are two messages."""
        text = "The overtime of the night shift is in, UNIQUE. Please look at it again."
        return Request(
            method="POST",
            path=f"{self._address()}/send/m.room.message",
            headers={**self._headers(), "Content-Type": "application/json"},
            body=json.dumps({"msgtype": "m.text", "body": text}),
            lua=UNIQUE_BODY,
        )

    def topic_list(self) -> Request | None:
        return None

    def pids(self) -> list[int]:
        return self._process.pids() if self._process else []

    @property
    def _filled(self) -> Room:
        if not self._room:
            raise RuntimeError("fill it first")
        return self._room

    def _address(self) -> str:
        return f"{CLIENT}/rooms/{quote(self._filled.room_id)}"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._filled.token}"}


def target() -> Synapse:
    return Synapse()
