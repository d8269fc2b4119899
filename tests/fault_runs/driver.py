"""Injects a fault into a running stack repeatedly while people write, and reports the figures."""

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Event, Thread
from uuid import uuid4

import psycopg2
import redis
from celery import Celery
from django.conf import settings

from ippex_messenger.embedded.processes import command_line
from ippex_messenger.embedded.valkey import valkey_answers
from tests.fault_runs import programs
from tests.fault_runs.figures import Figures, count_missing, figures_of
from tests.fault_runs.ledger import Ledger
from tests.fault_runs.mail_server import MailServer
from tests.fault_runs.poster import Poster, Sent
from tests.fault_runs.scene import PASSWORD, SLUG, set_scene
from tests.support.stack import Stack, running_stack, wait_until

INTERRUPTING = ("worker", "postgres")  # killing one can interrupt a mail between the 250 and the commit

START_SECONDS = 30
BEFORE_SECONDS = 0.7  # of posting before the fault
AFTER_SECONDS = 0.7  # of posting after it
SETTLE_SECONDS = 10  # from the last 250 to its commit; usually milliseconds


class Driver:
    def __init__(self, stack: Stack, mail_server: MailServer) -> None:
        self.stack = stack
        self.home = stack.home
        self.mail_server = mail_server
        self.ledger = Ledger(stack.home)
        self.kills = 0
        self.interruptions: list[float] = []  # when a worker or its database was stopped (time.monotonic())
        self.sent: list[Sent] = []
        self.pause_seconds = 0.35  # between two posts of one person
        self.refused: list[str] = []  # addresses that the mail server refuses
        self.scene = set_scene(stack)
        self._posters = [Poster(stack.address, SLUG, email) for email in self.scene.authors]
        self._choice = random.Random(1)
        for poster in self._posters:
            poster.sign_in(PASSWORD)

    # -- Faults --------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        self.kills += 1
        if name in INTERRUPTING:
            self.interruptions.append(time.monotonic())
        programs.kill(self.home, name)

    def restart_database(self) -> None:
        """Restart PostgreSQL as an operator does: a fast shutdown, which disconnects all clients."""
        self.kills += 1
        self.interruptions.append(time.monotonic())
        before = programs.pid_of(self.home, "postgres")
        programs.send(self.home, "postgres", signal.SIGINT)
        wait_until(lambda: not command_line(before), START_SECONDS, "the end of postgres")

    @property
    def celery(self) -> Celery:
        return Celery(broker=self.home.redis_url)

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        programs.send(self.home, name, signal.SIGSTOP)
        try:
            yield
        finally:
            programs.send(self.home, name, signal.SIGCONT)

    def empty_queue(self) -> None:
        """Empty the queue while the worker is frozen, so that it contains hints, and repeatedly while it works."""
        wait_until(lambda: valkey_answers(self.home), START_SECONDS, "Valkey")
        with self.queue as queue:
            with self.frozen("worker"):
                wait_until(lambda: queue.llen("celery") > 1, START_SECONDS, "hints on the queue")
                queue.flushall()
            for _ in range(10):
                time.sleep(0.05)
                queue.flushall()

    @property
    def queue(self) -> redis.Redis:  # type: ignore[type-arg]
        return redis.Redis.from_url(self.home.redis_url)

    def wait_for_mails(self, count: int) -> None:
        """Wait until the mail server has accepted `count` more mails."""
        total = len(self.mail_server.accepted) + count
        wait_until(lambda: len(self.mail_server.accepted) >= total, START_SECONDS, f"{count} more mails")

    def missing_mails(self) -> int:
        return count_missing(self.ledger.due(), self.mail_server.accepted, self.refused)

    def sweep_many_times_at_once(self) -> None:
        """Start many sweeps while mails are waiting, so that they compete for the same ones."""
        self.mail_server.shut()
        wait_until(lambda: self.missing_mails() > 20, START_SECONDS, "mails that wait")
        self.mail_server.open()
        for _ in range(8):
            self.celery.send_task("messenger.tasks.sweep")

    def post_together(self, times: int) -> None:
        """All authors post into one topic at the same moment."""
        barrier = Barrier(len(self._posters), timeout=START_SECONDS)

        def write(poster: Poster) -> None:
            for number in range(times):
                barrier.wait()
                self.sent.append(poster.post(self.scene.topics[-1], f"Together {number} {uuid4()}"))

        threads = [Thread(target=write, args=[poster]) for poster in self._posters]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def send_half_to(self, address: str) -> None:
        """From now on half of the authors use another web process."""
        for poster in self._posters[::2]:
            poster.address = address

    # -- Runs ----------------------------------------------------------------------------------------------

    def repeat(self, fault: Callable[[], None], runs: int, patience: float = 60, wait_each: bool = True) -> Figures:
        """Inject the fault `runs` times and return the figures.

        `patience`: seconds after a fault's end; mails that have not arrived by then count as lost. With `wait_each`
        off, the wait for mails is only after the last run.
        """
        delays = []
        for _ in range(runs):
            with self.posting():
                time.sleep(BEFORE_SECONDS)
                fault()
                over_at = time.monotonic()
                time.sleep(AFTER_SECONDS)
            if wait_each:
                delays.append(self._await_mails(patience) - over_at)
        if not wait_each:
            delays.append(self._await_mails(patience) - over_at)
        if runs > 1:
            time.sleep(settings.SWEEP_SECONDS + 1)  # for a late duplicate
        figures = figures_of(self.ledger, self.sent, self.mail_server.accepted, self.interruptions, self.refused)
        figures.runs, figures.kills, figures.last_mail = runs, self.kills, max(delays)
        return figures

    @contextmanager
    def posting(self) -> Iterator[None]:
        """All authors post inside the block. At its end every post has been acknowledged."""
        stop = Event()
        failures: list[BaseException] = []

        def write(poster: Poster) -> None:
            try:
                while not stop.is_set():
                    body = f"Message {len(self.sent)} at {time.monotonic()} by {poster.email}"
                    self.sent.append(poster.post(self._choice.choice(self.scene.topics), body))
                    stop.wait(self.pause_seconds * self._choice.uniform(0.5, 1.5))
            except BaseException as failure:  # raised at the end of the block
                failures.append(failure)

        threads = [Thread(target=write, args=[poster], daemon=True) for poster in self._posters]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def _await_mails(self, patience: float) -> float:
        """Wait until every due mail has arrived; returns when the last one did (time.monotonic())."""
        end = time.monotonic() + patience
        while self.missing_mails() and time.monotonic() < end:
            time.sleep(0.2)
        settled_by = time.monotonic() + SETTLE_SECONDS
        while self._unsettled() and time.monotonic() < settled_by:
            time.sleep(0.05)
        accepted = self.mail_server.accepted
        return accepted[-1].at if accepted else end

    def _unsettled(self) -> bool:
        try:
            return any(row.state == "waiting" for row in self.ledger.deliveries())
        except psycopg2.Error:
            return True


@contextmanager
def running_driver(folder: Path, **environment: str) -> Iterator[Driver]:
    """A driver with a new stack, which sends its mails to the driver's mail server."""
    with MailServer() as mail_server, running_stack(folder, EMAIL_URL=mail_server.url, **environment) as stack:
        yield Driver(stack, mail_server)
