"""Claims a folder for one stack: takes the lock, and stops what an earlier, killed stack left running."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from .errors import StartupError
from .home import Home
from .processes import command_line, signal_group

STOP_SECONDS = 5  # from SIGINT to SIGKILL


@contextmanager
def claimed(home: Home) -> Iterator[Home]:
    """Reserve `home` for this process; yields it with ports that are free at this moment.

    Raises StartupError if another process has reserved it.
    """
    with open(home.folder / "run.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupError(
                f"Another `make run` (or test run) already uses {home.folder}; stop that one first."
            ) from None
        _stop_leftovers(home)
        yield home.with_free_ports()


def record_programs(home: Home, commands: Mapping[int, str]) -> None:
    """Record the running programs, command lines by process id.

    If this process is killed on a system that doesn't kill its children (not Linux), the next start stops them.
    """
    home.programs_record.write_text(json.dumps(commands))


def _stop_leftovers(home: Home) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    for pid in _leftovers(home):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
    while (left := _leftovers(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        signal_group(pid, signal.SIGKILL)
    home.programs_record.unlink(missing_ok=True)


def _leftovers(home: Home) -> list[int]:
    """The recorded processes that still run. The command line is compared because process ids are reused."""
    try:
        commands = json.loads(home.programs_record.read_text())
    except (FileNotFoundError, ValueError):  # nothing recorded, or killed while recording
        return []
    return [int(pid) for pid, command in commands.items() if command_line(int(pid)) == command]
