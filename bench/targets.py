"""What is put into the rotation: ours, the floors and the peers, all behind the same few questions."""

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
    """A wrk script that makes every body another one; it sees `method`, `path`, `headers` and `body` as wrk.*"""


class Target(Protocol):
    """A product beside ours. `install` and `fill` do nothing where it has been done before."""

    name: str

    def install(self) -> None: ...

    def fill(self, messages: int) -> None: ...

    def start(self) -> str:
        """Start it with two web workers, answer its base URL without a slash at the end."""

    def stop(self) -> None: ...

    def thread_page(self) -> Request: ...

    def post(self) -> Request: ...

    def topic_list(self) -> Request | None: ...

    def pids(self) -> list[int]:
        """The processes that answer requests, without the database."""
