"""What all peers have in common: an environment, a database filled once for each length, a server of their own."""

from abc import ABC, abstractmethod

from bench.load import Unusable
from ippex_messenger.embedded.home import Home, free_port

from ._environment import Environment
from ._process import PeerProcess
from ._servers import SERVERS, SHARED, make_database


class Peer(ABC):
    def __init__(self, name: str, database_options: str = "") -> None:
        self.name = name
        self.environment = Environment(name)
        self._database_options = database_options
        self._filled = ""
        self._process: PeerProcess | None = None

    def install(self) -> None:
        self.environment.install()

    def fill(self, messages: int) -> None:
        """A thread of that length becomes the one that is asked for; made when it is asked for first."""
        # Beside the data: whoever throws the servers away throws this away too.
        record = SERVERS / f"{self.name}-{messages}.json"
        if not record.exists():
            if self._process:
                raise Unusable(f"{self.name} is to be filled before it is started.")
            home = SHARED.hold()
            try:
                make_database(home, self.name, self._database_options)
                answer = self.filled_anew(home, messages)
            finally:
                SHARED.release()
            record.write_text(answer)
        self._filled = record.read_text()

    def start(self) -> str:
        home = SHARED.hold()
        try:
            port = free_port()
            self._process = self.started(home, port)
        except BaseException:
            SHARED.release()
            raise
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
            SHARED.release()

    def pids(self) -> list[int]:
        return self._process.pids() if self._process else []

    @property
    def filled(self) -> str:
        """What `filled_anew` answered for the length that was asked for last."""
        if not self._filled:
            raise Unusable(f"{self.name} is asked before it is filled.")
        return self._filled

    @abstractmethod
    def filled_anew(self, home: Home, messages: int) -> str:
        """JSON: all that its requests need to know."""

    @abstractmethod
    def started(self, home: Home, port: int) -> PeerProcess:
        """Its server, which answers by now."""
