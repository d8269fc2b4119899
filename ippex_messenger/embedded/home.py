"""Where the embedded servers live: their folder, their ports and their passwords."""

import fcntl
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# Where people look for a mail catcher; taken only while nobody else has it.
USUAL_MAILBOX_PORT = 8025

PORTS = ("postgres_port", "redis_port", "smtp_port", "mailbox_port")
# Below the ranges from which systems take the ports of outgoing connections.
PORT_RANGE = range(15000, 30000)


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
                _write(record, _choose_addresses())
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

    @property
    def ports(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in PORTS}

    @property
    def programs_record(self) -> Path:
        """Holds the process numbers of the running programs."""
        return self.folder / "programs.pid"

    def with_free_ports(self) -> "Home":
        """The same stack, with another port for each one that somebody else has taken since.

        To be asked for only while nothing of the stack runs.
        """
        taken = [name for name, port in self.ports.items() if not is_free(port)]
        if not taken:
            return self
        addresses = asdict(self) | {name: free_port() for name in taken}
        del addresses["folder"]
        _write(self.folder / "home.json", addresses)
        return Home(folder=self.folder, **addresses)

    def web_port(self) -> int:
        try:
            return int(self.web_port_record.read_text())
        except (OSError, ValueError):
            return 8000


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket() as probe:
        # As servers do it: connections of before that linger on do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    while True:
        port = PORT_RANGE.start + secrets.randbelow(len(PORT_RANGE))
        if is_free(port):
            return port


def _choose_addresses() -> dict[str, object]:
    ports: dict[str, int] = {}
    if is_free(USUAL_MAILBOX_PORT):
        ports["mailbox_port"] = USUAL_MAILBOX_PORT
    for name in PORTS:
        while name not in ports:
            if (port := free_port()) not in ports.values():
                ports[name] = port
    return {
        **ports,
        "postgres_password": secrets.token_urlsafe(24),
        "redis_password": secrets.token_urlsafe(24),
        "secret_key": secrets.token_urlsafe(48),
    }


def _write(record: Path, content: dict[str, object]) -> None:
    draft = record.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(content, indent=1))
    draft.rename(record)
