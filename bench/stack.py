"""The product as it runs in production (pages by WSGI, streams by ASGI, one worker), and the floors beside it."""

import http.client
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.proc import process_tree
from ippex_messenger.embedded import application
from ippex_messenger.embedded.claim import claimed
from ippex_messenger.embedded.home import CHECKOUT, Home, free_port
from ippex_messenger.embedded.processes import Program
from ippex_messenger.embedded.servers import start_servers, stop_servers, wait_for_servers
from ippex_messenger.embedded.supervisor import Supervisor

FOLDER = Path(os.environ.get("BENCH_HOME") or CHECKOUT / "var" / "bench")
WEB_WORKERS = 2
# granian's default is 256 threads a worker. Each thread has its own connection, so as many requests at once would use
# up the connections of PostgreSQL.
WEB_THREADS = 4
START_SECONDS = 30
PROGRAMS = ("pages", "streams", "worker", "sink", "floor", "hub")


@dataclass
class Stack:
    home: Home
    supervisor: Supervisor
    ports: dict[str, int]

    def start(self, name: str) -> str:
        """Start one of PROGRAMS and wait until its port is open. Returns its base URL, or "" if it has none."""
        if name == "worker":
            self.supervisor.start(application.worker(self.home))
            return ""
        port = self.home.smtp_port if name == "sink" else self.ports.setdefault(name, free_port())
        self.supervisor.start(_program(name, port))
        _wait_until_open(port)
        return self.url(name)

    def stop(self, *names: str) -> None:
        self.supervisor.stop(*names)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}" if name in self.ports else ""

    def pids(self, name: str) -> list[int]:
        """The process ids of a program and its children: one of PROGRAMS, `postgres` or `valkey`."""
        return process_tree(self.supervisor.running[name].process.pid)

    def workers(self, name: str) -> list[int]:
        """The process ids of the granian workers of a program, without granian's main process."""
        return self.pids(name)[1:]


@contextmanager
def stack(folder: Path = FOLDER) -> Iterator[Stack]:
    """Start PostgreSQL and Valkey, create the product's tables, and set up Django in this process; nothing else yet."""
    os.environ["MESSENGER_HOME"] = str(folder.resolve())
    os.environ["DJANGO_SETTINGS_MODULE"] = "ippex_messenger.settings"
    # In production, modules are compiled once: a worker that compiles them itself starts slowly and takes 1 MiB more.
    for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "DEBUG", "PYTHONDONTWRITEBYTECODE"):
        os.environ.pop(name, None)
    with claimed(Home.current()) as home:
        supervisor = Supervisor(home, say=lambda text: print(text, file=sys.stderr, flush=True))
        try:
            start_servers(supervisor)
            wait_for_servers(supervisor)
            _set_up_django()
            yield Stack(home, supervisor, {})
        finally:
            supervisor.stop(*PROGRAMS)
            stop_servers(supervisor)


def _set_up_django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)


def _program(name: str, port: int) -> Program:
    if name == "sink":
        return Program(name=name, command=(sys.executable, "-m", "bench.sink", str(port)))
    interface, workers, target = {
        "pages": ("wsgi", WEB_WORKERS, "ippex_messenger.wsgi:application"),
        "streams": ("asginl", 1, "ippex_messenger.asgi:application"),
        "floor": ("wsgi", WEB_WORKERS, "bench.floors.site:application"),
        "hub": ("asginl", 1, "bench.floors.hub:application"),
    }[name]
    command = (
        *(sys.executable, "-m", "granian", "--interface", interface, "--workers", str(workers)),
        *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-ws"),
        *("--workers-kill-timeout", "2"),
        *(
            ("--blocking-threads", str(WEB_THREADS))
            if interface == "wsgi"
            else ("--backpressure", str(application.MAX_CONNECTIONS))
        ),
        target,
    )
    return Program(name=name, command=command)


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.connect()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
        finally:
            connection.close()
