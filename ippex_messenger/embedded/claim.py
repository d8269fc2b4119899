"""One stack for a folder: the lock, and what an earlier, killed stack left behind."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from .errors import Refused
from .home import Home
from .processes import command_line, signal_group

PATIENCE_SECONDS = 5


@contextmanager
def claimed(home: Home) -> Iterator[Home]:
    """Keep `home` to this process; yields it with ports that are free at this moment."""
    with open(home.folder / "run.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(
                f"Another `make run` (or test run) already uses {home.folder}; stop that one first."
            ) from None
        _stop_leftovers(home)
        yield home.with_free_ports()


def record_programs(home: Home, commands: Mapping[int, str]) -> None:
    """Write down what runs, for the start after this process was killed on a system that lets it live on."""
    home.programs_record.write_text(json.dumps(commands))


def _stop_leftovers(home: Home) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    for pid in _leftovers(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    while (left := _leftovers(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        signal_group(pid, signal.SIGKILL)
    home.programs_record.unlink(missing_ok=True)


def _leftovers(home: Home) -> list[int]:
    """The recorded processes that still run; the number of a dead one may be somebody else's by now."""
    try:
        commands = json.loads(home.programs_record.read_text())
    except (FileNotFoundError, ValueError):  # none recorded, or killed in the middle of recording
        return []
    return [int(pid) for pid, command in commands.items() if command_line(int(pid)) == command]
