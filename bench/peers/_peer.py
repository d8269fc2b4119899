"""The base of all peers: an environment, a database that is filled once for each thread length, a server."""

from abc import ABC, abstractmethod

from bench.load import BenchError
from ippex_messenger.embedded.home import Home, free_port

from ._environment import Environment
from ._process import PeerProcess
from ._servers import SERVERS, SHARED, make_database


class Peer(ABC):
    def __init__(self, name: str, database_options: str = "") -> None:
        self.name = name
        self.environment = Environment(name)
        self._database_options = database_options
        self._fill_result = ""
        self._process: PeerProcess | None = None

    def install(self) -> None:
        self.environment.install()

    def fill(self, messages: int) -> None:
        """Create a thread of `messages` messages, unless it exists; requests will ask for this thread."""
        # Stored beside the data, so that both are deleted together.
        record = SERVERS / f"{self.name}-{messages}.json"
        if not record.exists():
            if self._process:
                raise BenchError(f"{self.name} has to be filled before it is started.")
            home = SHARED.acquire()
            try:
                make_database(home, self.name, self._database_options)
                result = self.fill_database(home, messages)
            finally:
                SHARED.release()
            record.write_text(result)
        self._fill_result = record.read_text()

    def start(self) -> str:
        home = SHARED.acquire()
        try:
            port = free_port()
            self._process = self.start_server(home, port)
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
    def fill_result(self) -> str:
        """The result of `fill_database` for the thread that was filled last."""
        if not self._fill_result:
            raise BenchError(f"{self.name} has not been filled.")
        return self._fill_result

    @abstractmethod
    def fill_database(self, home: Home, messages: int) -> str:
        """Fill the peer's database. Returns JSON with everything that its requests need."""

    @abstractmethod
    def start_server(self, home: Home, port: int) -> PeerProcess:
        """Start the peer's server and wait until it answers."""
