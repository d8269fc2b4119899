"""Each fault of the table in the design, twenty times while people write (`make test-faults`).

Nothing may be lost. Only a mail that was interrupted between the mail server's 250 and the commit may be sent twice.
"""

import json
import signal
import time

import pytest

from ippex_messenger.embedded import application
from ippex_messenger.embedded.processes import Program, signal_group, spawn
from ippex_messenger.embedded.valkey import valkey_answers
from tests.fault_runs import programs
from tests.fault_runs.conftest import Check
from tests.fault_runs.driver import Driver
from tests.support.stack import wait_until

pytestmark = pytest.mark.fault_runs

START_SECONDS = 30


# -- Valkey ----------------------------------------------------------------------------------------------------


def test_killing_valkey_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    def kill() -> None:
        driver.kill("valkey")
        wait_until(lambda: valkey_answers(driver.home), START_SECONDS, "Valkey")

    figures = check("Valkey killed", driver.repeat(kill, runs))
    assert not figures.failed_attempts, "each post succeeds at once"


def test_freezing_valkey_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    def freeze() -> None:
        with driver.frozen("valkey"):
            time.sleep(3)

    figures = check("Valkey frozen for 3 s", driver.repeat(freeze, runs))
    assert not figures.failed_attempts, "each post succeeds at once"


def test_emptying_valkey_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    figures = check("Valkey emptied", driver.repeat(driver.empty_queue, runs))
    assert not figures.failed_attempts, "each post succeeds at once"


# -- Worker, beat and queue ------------------------------------------------------------------------------------


def test_killing_the_worker_repeatedly_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    def kill_while_it_sends() -> None:
        for _ in range(3):
            driver.wait_for_mails(3)
            driver.kill("worker")

    figures = check("worker killed -9, 3 times a run", driver.repeat(kill_while_it_sends, runs))
    assert figures.kills == 3 * runs
    assert not figures.failed_attempts, "each post succeeds at once"


def test_two_beats_double_nothing(driver: Driver, check: Check, runs: int) -> None:
    """Both sweep the mails that waited while the mail server was down."""
    program = application.beat(driver.home)
    command = (*program.command[:-1], str(driver.home.folder / "second-beat-schedule"))
    environment = {**driver.stack.environment, **program.environment}
    log = driver.home.folder / "log" / "second-beat.log"
    with open(log, "wb") as output:
        second = spawn(Program("second beat", command, environment=environment), output, output)
        try:
            figures = driver.repeat(lambda: mail_server_away(driver, 1.5), runs)
            assert second.poll() is None, "both ran, or the test proves nothing"
        finally:
            signal_group(second.pid, signal.SIGKILL)
            second.wait()
    check("two beats", figures)


def mail_server_away(driver: Driver, seconds: float) -> None:
    driver.mail_server.shut()
    time.sleep(seconds)
    driver.mail_server.open()


def test_many_sweeps_at_once_double_nothing(driver: Driver, check: Check, runs: int) -> None:
    check("many sweeps at once", driver.repeat(driver.sweep_many_times_at_once, runs))


def test_junk_on_the_queue_stops_nothing(driver: Driver, check: Check, runs: int) -> None:
    """Arbitrary bytes, unknown tasks, wrong arguments, and repeated hints."""
    junk = [b"\xff\xfe\x00", b"{", b"{}", b'{"body": 1}', b"[]", json.dumps({"body": "x", "headers": {}}).encode()]

    def litter() -> None:
        for piece in junk:
            driver.queue.rpush("celery", piece)
            time.sleep(0.1)
        driver.celery.send_task("messenger.tasks.unknown", [1])
        for arguments in ([], ["x"], [None], [10**30], [{"a": 1}], [1, 2, 3]):
            driver.celery.send_task("messenger.tasks.notify_members", arguments)
        for due in driver.ledger.due()[-20:]:
            driver.celery.send_task("messenger.tasks.notify_members", [due.message])
        for _ in range(8):
            driver.celery.send_task("messenger.tasks.sweep")

    check("junk and repeated tasks on the queue", driver.repeat(litter, runs))


# -- Web -------------------------------------------------------------------------------------------------------


def test_killing_the_web_process_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    def kill_at_any_moment_and_after_a_commit() -> None:
        wait_until(driver.stack.answers, START_SECONDS, "the web process")
        time.sleep(0.3)
        driver.kill("web")
        wait_until(driver.stack.answers, START_SECONDS, "the web process")
        with driver.frozen("valkey"):  # after its commit, a post waits half a second for Valkey before it is answered
            count = len(driver.ledger.messages())
            wait_until(lambda: len(driver.ledger.messages()) > count, START_SECONDS, "a message")
            driver.kill("web")
        wait_until(driver.stack.answers, START_SECONDS, "the web process")

    figures = check("web process killed -9, twice a run", driver.repeat(kill_at_any_moment_and_after_a_commit, runs))
    assert figures.stored_unanswered >= runs / 2, "responses were lost after the commit, or the test proves nothing"


def test_posts_at_the_same_moment_all_succeed(driver: Driver, check: Check, runs: int) -> None:
    figures = check("posts into one topic at once", driver.repeat(lambda: driver.post_together(times=5), runs))
    assert not figures.failed_attempts


# -- Mail server -----------------------------------------------------------------------------------------------


def test_deferred_mails_are_sent_later(driver: Driver, check: Check, runs: int) -> None:
    def defer_all() -> None:
        driver.mail_server.answer_to_all = "451 Try again later"
        time.sleep(2)
        driver.mail_server.answer_to_all = ""

    figures = check("4xx to all for 2 s", driver.repeat(defer_all, runs, patience=180, wait_each=False))
    assert driver.mail_server.refused, "or the test proves nothing"
    assert not figures.failed_attempts


def test_a_refused_address_only_fails_its_own_mails(driver: Driver, check: Check, runs: int) -> None:
    driver.refused = [driver.scene.emails[-1]]
    driver.mail_server.refusals[driver.refused[0]] = "550 No such user"
    figures = check("5xx for one address", driver.repeat(lambda: time.sleep(1), runs))
    assert driver.mail_server.refused, "or the test proves nothing"
    assert not figures.failed_attempts
    failed = [row for row in driver.ledger.deliveries() if row.state == "failed"]
    assert len(failed) == figures.deliveries - figures.mails


def test_a_stalled_connection_loses_nothing(driver: Driver, check: Check, runs: int) -> None:
    def stall_one_connection() -> None:
        stalled = driver.mail_server.stalled
        driver.mail_server.connections_to_stall = 1
        wait_until(lambda: driver.mail_server.stalled > stalled, START_SECONDS, "a connection to stall")

    figures = check("one connection stalls", driver.repeat(stall_one_connection, runs))
    assert driver.mail_server.stalled == runs
    assert not figures.failed_attempts


# -- PostgreSQL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["restarted", "killed -9"])
def test_restarting_postgres_loses_nothing(driver: Driver, check: Check, runs: int, way: str) -> None:
    back_at: list[float] = []
    others = {name: programs.pid_of(driver.home, name) for name in ("web", "worker", "beat", "valkey")}

    def restart() -> None:
        if way == "restarted":
            driver.restart_database()
        else:
            driver.kill("postgres")
        wait_until(driver.ledger.answers, START_SECONDS, "PostgreSQL")
        back_at.append(time.monotonic())

    figures = check(f"PostgreSQL {way}", driver.repeat(restart, runs))
    assert figures.failed_attempts, "posts failed during it, or the test proves nothing"
    assert {name: programs.pid_of(driver.home, name) for name in others} == others, "nothing else needs a restart"
    failed = [attempt.begun_at for post in driver.sent for attempt in post.attempts if not attempt.succeeded]
    late = [moment for moment in failed if not any(0 <= back - moment < 10 for back in back_at)]
    assert late == [], "posts fail only during the ten seconds before it is back"
