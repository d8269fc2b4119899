"""Where the embedded servers live: their folder, their ports and their passwords."""

import fcntl
import json
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Where people look for a mail catcher; taken only while nobody else has it.
USUAL_MAILBOX_PORT = 8025


@dataclass(frozen=True)
class Home:
    """The folder of one embedded stack and the addresses chosen for it, once, when it was first used."""

    folder: Path
    postgres_port: int
    redis_port: int
    smtp_port: int
    mailbox_port: int
    postgres_password: str
    redis_password: str
    secret_key: str

    @classmethod
    def current(cls) -> "Home":
        """The stack of this process: the folder that MESSENGER_HOME names, or `var` in the checkout."""
        return cls.at(Path(os.environ.get("MESSENGER_HOME") or CHECKOUT / "var").resolve())

    @classmethod
    def at(cls, folder: Path) -> "Home":
        """The stack in `folder`; ports and passwords are chosen by whoever comes first, under a lock."""
        folder.mkdir(parents=True, exist_ok=True)
        record = folder / "home.json"
        with open(folder / "home.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not record.exists():
                draft = record.with_suffix(".new")
                draft.touch(mode=0o600)
                draft.write_text(json.dumps(_choose_addresses(), indent=1))
                draft.rename(record)
        return cls(folder=folder, **json.loads(record.read_text()))

    @property
    def database_url(self) -> str:
        return f"postgres://messenger:{self.postgres_password}@127.0.0.1:{self.postgres_port}/messenger"

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.redis_password}@127.0.0.1:{self.redis_port}/0"

    @property
    def email_url(self) -> str:
        return f"smtp://127.0.0.1:{self.smtp_port}"

    @property
    def mailbox_url(self) -> str:
        """The page on which the mail catcher shows what it caught."""
        return f"http://127.0.0.1:{self.mailbox_port}/"

    @property
    def web_port_record(self) -> Path:
        """Holds the port of the running web server, so that other processes can name its address."""
        return self.folder / "web.port"

    def web_port(self) -> int:
        try:
            return int(self.web_port_record.read_text())
        except (OSError, ValueError):
            return 8000


def _choose_addresses() -> dict[str, object]:
    held: list[socket.socket] = []  # kept open until all are chosen, so that no two are the same
    try:
        return {
            "postgres_port": _free_port(held),
            "redis_port": _free_port(held),
            "smtp_port": _free_port(held),
            "mailbox_port": _free_port(held, preferred=USUAL_MAILBOX_PORT),
            "postgres_password": secrets.token_urlsafe(24),
            "redis_password": secrets.token_urlsafe(24),
            "secret_key": secrets.token_urlsafe(48),
        }
    finally:
        for taken in held:
            taken.close()


def _free_port(held: list[socket.socket], preferred: int = 0) -> int:
    probe = socket.socket()
    try:
        probe.bind(("127.0.0.1", preferred))
    except OSError:
        probe.bind(("127.0.0.1", 0))
    held.append(probe)
    return int(probe.getsockname()[1])
