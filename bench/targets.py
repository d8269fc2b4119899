"""The interface of everything that is measured: a request, and what a peer has to provide."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | None = None
    lua: Path | None = None
    """A script for wrk that varies the requests; it finds method, path, headers and body in `wrk`."""


class Target(Protocol):
    """A peer: another product that is measured. `install` and `fill` do nothing if it was done before."""

    name: str

    def install(self) -> None: ...

    def fill(self, messages: int) -> None: ...

    def start(self) -> str:
        """Start the peer with two web workers. Returns its base URL, without a slash at the end."""

    def stop(self) -> None: ...

    def thread_page(self) -> Request: ...

    def post(self) -> Request: ...

    def topic_list(self) -> Request | None: ...

    def pids(self) -> list[int]:
        """The process ids of what answers requests, without the database."""
