"""The processes of a running stack, as its supervisor has recorded them."""

import json
import os
import signal
from contextlib import suppress

from ippex_messenger.embedded.home import Home
from ippex_messenger.embedded.processes import command_line, signal_group
from tests.support.stack import wait_until

START_SECONDS = 30

# Parts of the command lines that identify them.
MARKS = {"web": "-m granian", "worker": " worker ", "beat": " beat ", "valkey": "valkey.conf", "postgres": "/postgres "}


def running(home: Home) -> dict[str, int]:
    """The process ids of the running programs, by name."""
    try:
        commands: dict[str, str] = json.loads(home.programs_record.read_text())
    except (OSError, ValueError):  # it is being written
        return {}
    alive = {int(pid): command for pid, command in commands.items() if command_line(int(pid)) == command}
    return {name: pid for name, mark in MARKS.items() for pid, command in alive.items() if mark in command}


def pid_of(home: Home, name: str) -> int:
    """The process id of a program. Waits for a program that is being restarted."""
    wait_until(lambda: name in running(home), START_SECONDS, f"the start of {name}")
    return running(home)[name]


def kill(home: Home, name: str) -> None:
    """Kill a program and all of its children at once, so that none can finish its work."""
    pid = pid_of(home, name)
    signal_group(pid, signal.SIGKILL)
    wait_until(lambda: not command_line(pid), START_SECONDS, f"the end of {name}")


def send(home: Home, name: str, signal_number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid_of(home, name), signal_number)
