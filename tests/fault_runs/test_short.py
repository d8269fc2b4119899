"""The most informative faults, once each, one after the other on one stack: this part runs with `make test`."""

import pytest

from tests.fault_runs.conftest import Check
from tests.fault_runs.driver import Driver

pytestmark = pytest.mark.xdist_group("faults")


def test_nothing_is_lost_or_doubled_when_servers_are_killed_or_the_queue_is_emptied(
    driver: Driver, check: Check
) -> None:
    def one_after_the_other() -> None:
        driver.kill("valkey")
        driver.empty_queue()
        driver.wait_for_mails(3)
        driver.kill("worker")
        driver.kill("web")

    figures = driver.repeat(one_after_the_other, runs=1)
    check("one after the other", figures)
    assert figures.failed_attempts, "the web process was down, or the test proves nothing"
