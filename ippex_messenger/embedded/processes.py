"""Starts a program so that it never outlives its parent, and inspects processes."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .account import Account
from .home import CHECKOUT

LINUX = sys.platform.startswith("linux")
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if LINUX else None  # loaded here: nothing may be loaded between fork and exec


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    folder: Path = CHECKOUT
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    account: Account | None = None
    before_start: Callable[[], None] = lambda: None


def spawn(
    program: Program,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Start `program` in a session of its own, so that the terminal's Ctrl-C reaches only its parent.

    Call this from a thread that lives as long as the program should: for Linux, the parent ends with that thread.
    """
    program.before_start()
    account = program.account
    change_to = account if account and not account.prefix else None
    parent = os.getpid()
    return subprocess.Popen(
        [*(account.prefix if account else ()), *program.command],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        cwd=program.folder,
        env={**os.environ, **program.environment},
        user=change_to.uid if change_to else None,
        group=change_to.gid if change_to else None,
        extra_groups=[] if change_to else None,
        start_new_session=True,
        # Makes only system calls, so it is safe between fork and exec, whatever the parent's threads do.
        preexec_fn=lambda: die_with_parent(parent, program.stop_signal),  # noqa: PLW1509
    )


def die_with_parent(parent: int, signal_number: signal.Signals) -> None:
    """Let the kernel send this process `signal_number` when `parent` ends. Does nothing except on Linux."""
    if _libc:
        _libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel got the request
            os._exit(1)


def command_line(pid: int) -> str:
    """The command line of a process; empty if it has ended, or is a zombie."""
    if LINUX:
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return ""
        return arguments.replace("\0", " ").strip()
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    listing = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return "" if "<defunct>" in listing.stdout else listing.stdout.strip()


def signal_group(pid: int, signal_number: signal.Signals) -> None:
    """Signal every process that is left of the program `pid`: itself and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal_number)
