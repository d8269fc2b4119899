"""Two web processes, one of them with its clock set back an hour while people use both (`make test-faults`)."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from ippex_messenger.embedded import application
from ippex_messenger.embedded.home import free_port
from ippex_messenger.embedded.processes import Program, signal_group, spawn
from tests.fault_runs.conftest import Check
from tests.fault_runs.driver import Driver
from tests.support.stack import wait_until

pytestmark = pytest.mark.fault_runs

START_SECONDS = 30
HOUR_BACK = "-3600"  # seconds
CORRECT = "0"


@contextmanager
def second_web_process(driver: Driver, clock: Path) -> Iterator[str]:
    """Another web process of the stack, whose clock is off by the seconds in the file `clock`; yields its base URL."""
    port = free_port()
    program = application.web(driver.home, port)
    command = (*program.command[:-1], "tests.fault_runs.wrong_clock:application")
    environment = {**driver.stack.environment, **program.environment, "CLOCK": str(clock)}
    with open(driver.home.folder / "log" / "second-web.log", "wb") as log:
        process = spawn(Program("second web", command, environment=environment), log, log)
        try:
            wait_until(lambda: application.web_answers(port), START_SECONDS, "the second web process")
            yield f"http://127.0.0.1:{port}"
        finally:
            signal_group(process.pid, signal.SIGKILL)
            process.wait()


def test_a_clock_set_back_an_hour_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    clock = driver.home.folder / "clock"
    clock.write_text(CORRECT)

    def set_back() -> None:
        clock.write_text(HOUR_BACK)
        time.sleep(3)
        clock.write_text(CORRECT)

    with second_web_process(driver, clock) as address:
        driver.send_half_to(address)
        figures = check("clock of one web process set back 1 h", driver.repeat(set_back, runs))
    assert not figures.failed_attempts
    without_elapsed_time = [message for message in driver.ledger.messages() if message.elapsed == timedelta(0)]
    assert len(without_elapsed_time) > runs, "the clock was set back, or the test proves nothing"
