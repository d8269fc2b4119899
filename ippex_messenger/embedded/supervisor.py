"""Keeps programs running: starts again what dies, stops everything in order."""

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
LONGEST_DELAY_SECONDS = 1.0  # leaves a program time to be back within two seconds
STEADY_SECONDS = 3  # who ran that long did not die of its start
PATIENCE_SECONDS = 10  # from the polite signal to SIGKILL


class StopRequested(Exception):
    """Somebody pressed Ctrl-C, or the system asks the stack to end."""


@dataclass
class Running:
    program: Program
    process: subprocess.Popen[bytes]
    started_at: float
    delay: float = FIRST_DELAY_SECONDS
    start_again_at: float | None = None


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

    def until(self, condition: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Watch over the programs until `condition` holds; False if it does not within `seconds`.

        Raises StopRequested when the stack is asked to end.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.stop_requested:
                raise StopRequested
            self._start_again_what_died()
            if condition():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def stop(self, *names: str) -> None:
        """Stop these programs, in this order, and wait until all of them are gone."""
        leaving = [self.running.pop(name) for name in names if name in self.running]
        for one in leaving:
            if one.process.poll() is None:
                one.process.send_signal(one.program.stop_signal)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for one in leaving:
            try:
                one.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.say(f"{one.program.name} did not stop in {PATIENCE_SECONDS} seconds and was killed.")
            signal_group(one.process.pid, signal.SIGKILL)  # it, or children of its that stayed behind
            one.process.wait()
        self._record()

    def stop_on_signals(self) -> None:
        def request_stop(_number: int, _frame: FrameType | None) -> None:
            self.stop_requested = True  # acted upon in until(): never in the middle of a start

        signal.signal(signal.SIGINT, request_stop)
        signal.signal(signal.SIGTERM, request_stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup wants it to go on
            signal.signal(signal.SIGHUP, request_stop)

    def _start_again_what_died(self) -> None:
        now = time.monotonic()
        for one in self.running.values():
            if one.start_again_at is None:
                if one.process.poll() is not None:
                    self._plan_start(one, now)
            elif now >= one.start_again_at:
                self._start_again(one, now)

    def _plan_start(self, one: Running, now: float) -> None:
        signal_group(one.process.pid, signal.SIGKILL)  # children of its would hold its port
        if now - one.started_at > STEADY_SECONDS:
            one.delay = FIRST_DELAY_SECONDS
        if one.delay < LONGEST_DELAY_SECONDS:  # who dies of every start has been heard of by then
            log = display(self.log_of(one.program))
            self.say(f"{one.program.name} stopped ({_outcome(one.process)}), starting it again; see {log}")
        one.start_again_at = now + one.delay
        one.delay = min(2 * one.delay, LONGEST_DELAY_SECONDS)

    def _start_again(self, one: Running, now: float) -> None:
        try:
            one.process = self._spawn(one.program)
        except OSError as error:  # its file may be about to be replaced
            self.say(f"{one.program.name} could not be started: {error}")
            one.start_again_at = now + LONGEST_DELAY_SECONDS
            return
        one.started_at, one.start_again_at = now, None
        self._record()

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        with open(self.log_of(program), "ab") as log:
            return spawn(program, stdout=log, stderr=log)

    def _record(self) -> None:
        commands = {one.process.pid: " ".join(one.program.command) for one in self.running.values()}
        record_programs(self.home, commands)


def display(path: Path) -> str:
    """A path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _outcome(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"exit {code}" if code >= 0 else f"signal {-code}"
