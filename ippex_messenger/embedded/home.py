"""The folder, ports and passwords of the embedded servers."""

import fcntl
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

# The usual port of mail catchers; chosen only if it is free.
DEFAULT_MAILBOX_PORT = 8025

PORTS = ("postgres_port", "redis_port", "smtp_port", "mailbox_port")
# Below the ranges from which operating systems take ports for outgoing connections.
PORT_RANGE = range(15000, 30000)


@dataclass(frozen=True)
class Home:
    """The folder of one embedded stack, with the ports and passwords that were chosen when it was first used."""

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
        """The stack of this process, in the folder MESSENGER_HOME, by default `var` in the checkout."""
        return cls.at(Path(os.environ.get("MESSENGER_HOME") or CHECKOUT / "var").resolve())

    @classmethod
    def at(cls, folder: Path) -> "Home":
        """The stack in `folder`. The first process to use it chooses ports and passwords, under a lock."""
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
        """The page on which the mail catcher lists the mails."""
        return f"http://127.0.0.1:{self.mailbox_port}/"

    @property
    def web_port_record(self) -> Path:
        """Contains the port of the running web server: other processes build links with it."""
        return self.folder / "web.port"

    @property
    def ports(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in PORTS}

    @property
    def programs_record(self) -> Path:
        """Contains the process ids of the running programs and their command lines, as JSON."""
        return self.folder / "programs.pid"

    def with_free_ports(self) -> "Home":
        """The same stack, with a new port in place of each one that another program has taken.

        Call this only while none of the stack's servers run: they would occupy the ports.
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
        # As servers do: old connections in TIME_WAIT don't count.
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
    if is_free(DEFAULT_MAILBOX_PORT):
        ports["mailbox_port"] = DEFAULT_MAILBOX_PORT
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
    temporary = record.with_suffix(".new")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(content, indent=1))
    temporary.rename(record)
