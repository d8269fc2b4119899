"""Keeps programs running: restarts those that die, and stops them in order."""

import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from .claim import record_programs
from .home import Home
from .processes import Program, signal_group, spawn

POLL_SECONDS = 0.05
FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 1.0  # short enough for a program to be back within two seconds
STEADY_SECONDS = 3  # a program that ran this long did start; the next restart is quick again
STOP_SECONDS = 10  # from the stop signal to SIGKILL


class StopRequested(Exception):
    """The stack should stop: Ctrl-C, SIGTERM, or the terminal was closed."""


@dataclass
class Running:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    delay: float = FIRST_DELAY_SECONDS
    restart_at: float | None = None  # time.monotonic(); None while it runs


class Supervisor:
    def __init__(self, home: Home, say: Callable[[str], None]) -> None:
        self.home = home
        self.say = say
        self.running: dict[str, Running] = {}
        self.stop_requested = False

    def start(self, program: Program) -> None:
        log = self.log_of(program)
        if log.exists():
            log.replace(log.with_suffix(".log.old"))
        self.running[program.name] = Running(program, self._spawn(program), time.monotonic())
        self._record()

    def log_of(self, program: Program) -> Path:
        folder = self.home.folder / "log"
        folder.mkdir(exist_ok=True)
        return folder / f"{program.name}.log"

    def run_until(self, condition: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Restart programs that die, until `condition` holds. Returns False if it doesn't within `seconds`.

        Raises StopRequested after a signal to stop.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.stop_requested:
                raise StopRequested
            self._restart_dead_programs()
            if condition():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def stop(self, *names: str) -> None:
        """Stop these programs, in this order, and wait until all of them have ended. Kills them after STOP_SECONDS."""
        stopping = [self.running.pop(name) for name in names if name in self.running]
        for entry in stopping:
            if entry.process.poll() is None:
                entry.process.send_signal(entry.program.stop_signal)
        deadline = time.monotonic() + STOP_SECONDS
        for entry in stopping:
            try:
                entry.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{entry.program.name} did not stop in {STOP_SECONDS} seconds and was killed.")
            signal_group(entry.process.pid, signal.SIGKILL)  # the program, or children that it left behind
            entry.process.wait()
        self._record()

    def stop_on_signals(self) -> None:
        def request_stop(_number: int, _frame: FrameType | None) -> None:
            self.stop_requested = True  # run_until() acts on it, so never in the middle of a start

        signal.signal(signal.SIGINT, request_stop)
        signal.signal(signal.SIGTERM, request_stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # under nohup, keep running
            signal.signal(signal.SIGHUP, request_stop)

    def _restart_dead_programs(self) -> None:
        now = time.monotonic()
        for entry in self.running.values():
            if entry.restart_at is None:
                if entry.process.poll() is not None:
                    self._schedule_restart(entry, now)
            elif now >= entry.restart_at:
                self._restart(entry, now)

    def _schedule_restart(self, entry: Running, now: float) -> None:
        signal_group(entry.process.pid, signal.SIGKILL)  # children that it left behind would hold its port
        if now - entry.started_at > STEADY_SECONDS:
            entry.delay = FIRST_DELAY_SECONDS
        if entry.delay < LONGEST_DELAY_SECONDS:  # later, a program that dies at every start has been reported enough
            log = display(self.log_of(entry.program))
            self.say(f"{entry.program.name} stopped ({_outcome(entry.process)}), starting it again; see {log}")
        entry.restart_at = now + entry.delay
        entry.delay = min(2 * entry.delay, LONGEST_DELAY_SECONDS)

    def _restart(self, entry: Running, now: float) -> None:
        try:
            entry.process = self._spawn(entry.program)
        except OSError as error:  # its file may be about to be replaced
            self.say(f"{entry.program.name} could not be started: {error}")
            entry.restart_at = now + LONGEST_DELAY_SECONDS
            return
        entry.started_at, entry.restart_at = now, None
        self._record()

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        with open(self.log_of(program), "ab") as log:
            return spawn(program, stdout=log, stderr=log)

    def _record(self) -> None:
        commands = {entry.process.pid: " ".join(entry.program.command) for entry in self.running.values()}
        record_programs(self.home, commands)


def display(path: Path) -> str:
    """The path as the person at the terminal would type it: relative to the current folder if it is inside."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _outcome(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit {code}" if code >= 0 else f"signal {-code}"
