"""Faults that last: a mail server that is down for two minutes, Valkey for half a minute (`make test-faults`)."""

import time

import pytest

from ippex_messenger.embedded.valkey import valkey_answers
from tests.fault_runs.conftest import Check
from tests.fault_runs.driver import Driver
from tests.support.stack import wait_until

pytestmark = pytest.mark.fault_runs

START_SECONDS = 30
PATIENCE_SECONDS = 120

MANY_MAILS = 200  # waiting for the mail server
# Between two posts of one person, chosen for three or four hundred mails; the speed with thousands is not tested here.
PAUSE_SECONDS = {"mail server": 5, "Valkey": 1.5}


def test_a_mail_server_down_for_two_minutes_loses_nothing(driver: Driver, check: Check, long_runs: int) -> None:
    def away() -> None:
        driver.mail_server.shut()
        time.sleep(120)
        assert driver.missing_mails() >= MANY_MAILS, "or the test proves nothing"
        driver.mail_server.open()

    driver.pause_seconds = PAUSE_SECONDS["mail server"]
    figures = driver.repeat(away, long_runs, patience=PATIENCE_SECONDS)
    check("mail server away for 120 s", figures)
    assert not figures.failed_attempts


def test_valkey_down_for_half_a_minute_loses_nothing(driver: Driver, check: Check, long_runs: int) -> None:
    """Its configuration file is missing, and the supervisor keeps trying to start it."""
    configuration = driver.home.folder / "valkey.conf"
    aside = configuration.with_suffix(".aside")

    def away() -> None:
        configuration.rename(aside)
        driver.kill("valkey")
        time.sleep(30)
        assert not valkey_answers(driver.home), "or the test proves nothing"
        aside.rename(configuration)
        wait_until(lambda: valkey_answers(driver.home), START_SECONDS, "Valkey")

    driver.pause_seconds = PAUSE_SECONDS["Valkey"]
    figures = driver.repeat(away, long_runs, patience=PATIENCE_SECONDS)
    check("Valkey away for 30 s", figures)
    assert not figures.failed_attempts, "each post succeeds at once"
