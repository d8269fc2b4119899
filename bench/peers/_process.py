"""The server of a peer: a child process that ends with this process."""

import http.client
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from bench.load import BenchError
from bench.proc import process_tree
from ippex_messenger.embedded.processes import Program, signal_group, spawn
from ippex_messenger.embedded.supervisor import display

START_SECONDS = 60
STOP_SECONDS = 10


class PeerProcess:
    def __init__(self, name: str, command: list[str], folder: Path, variables: Mapping[str, str], log: Path) -> None:
        program = Program(name=name, command=tuple(command), folder=folder, environment=variables)
        self.name, self.log = name, log
        with open(log, "wb") as output:
            self.process = spawn(program, output, output)

    def wait_for(self, port: int, path: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise BenchError(f"{self.name} does not answer; see {display(self.log)}.")
            time.sleep(0.1)

    def pids(self) -> list[int]:
        return process_tree(self.process.pid)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
