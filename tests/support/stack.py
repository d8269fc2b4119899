"""The whole product as `make run` starts it, in a separate folder, for tests that use it as people do."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ippex_messenger.embedded.home import CHECKOUT, Home, free_port

START_SECONDS = 60


class Stack:
    def __init__(self, folder: Path, **environment: str) -> None:
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        # Without the servers of the tests: this stack is what a new user gets.
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.endswith("_URL")},
            "DJANGO_SETTINGS_MODULE": "ippex_messenger.settings",
            "MESSENGER_HOME": str(folder),
            "PORT": str(self.port),
            **environment,
        }
        # Not the mail catcher's default port, because other stacks may start at the same moment and want it too.
        record = Home.at(folder).folder / "home.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"mailbox_port": free_port()}))
        self.home = Home.at(folder)

    def manage(self, *arguments: str, stdin: str = "") -> str:
        """Run `manage.py` on the stack's servers; returns its output."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=CHECKOUT, env=self.environment, input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def caught_mails(self) -> str:
        """The HTML of the mail catcher's page."""
        with urllib.request.urlopen(Home.at(self.home.folder).mailbox_url, timeout=5) as page:  # noqa: S310
            return str(page.read().decode())

    def answers(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"{self.address}/healthz", timeout=2).status == 200)  # noqa: S310
        except (OSError, urllib.error.URLError):
            return False


@contextmanager
def running_stack(folder: Path, **environment: str) -> Iterator[Stack]:
    stack = Stack(folder, **environment)
    command = [sys.executable, "-m", "ippex_messenger.embedded", "run"]
    log = folder / "supervisor.log"
    with open(log, "wb") as output:
        supervisor = subprocess.Popen(
            command, cwd=CHECKOUT, env=stack.environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
        )
        try:
            wait_until(lambda: "Ctrl-C stops everything" in log.read_text(), START_SECONDS, what="the stack's start")
            yield stack
        finally:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(30)


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{what}: not within {seconds} seconds"
        time.sleep(0.1)
