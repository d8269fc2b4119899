"""Does a fault to a running stack while people write, as often as asked, and says what came of it."""

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
from tests.fault_runs.figures import Figures, figures_of, shortage
from tests.fault_runs.ledger import Ledger
from tests.fault_runs.mail_server import MailServer
from tests.fault_runs.poster import Poster, Sent
from tests.fault_runs.scene import PASSWORD, SLUG, set_scene
from tests.support.stack import Stack, running_stack, wait_until

CUTTING = ("worker", "postgres")

START_SECONDS = 30
BEFORE_SECONDS = 0.7  # posts before the fault, and after it
AFTER_SECONDS = 0.7
SETTLE_SECONDS = 10  # from the last 250 to its commit; takes milliseconds


class Driver:
    def __init__(self, stack: Stack, mail_server: MailServer) -> None:
        self.stack = stack
        self.home = stack.home
        self.mail_server = mail_server
        self.ledger = Ledger(stack.home)
        self.kills = 0
        self.cuts: list[float] = []  # when somebody who sends mails, or their database, went (time.monotonic())
        self.sent: list[Sent] = []
        self.pause_seconds = 0.35  # between two posts of one person
        self.refused: list[str] = []  # who gets no mail, for the mail server doesn't know them
        self.scene = set_scene(stack)
        self._posters = [Poster(stack.address, SLUG, email) for email in self.scene.authors]
        self._choice = random.Random(1)
        for poster in self._posters:
            poster.sign_in(PASSWORD)

    # -- Faults --------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        self.kills += 1
        if name in CUTTING:
            self.cuts.append(time.monotonic())
        programs.kill(self.home, name)

    def restart_database(self) -> None:
        """As an operator does it: politely to the disk, not to those who are connected."""
        self.kills += 1
        self.cuts.append(time.monotonic())
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
        """While the worker lags, so that hints are in it; and again and again while it works."""
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
        """Until so many more have been taken than by now."""
        enough = len(self.mail_server.taken) + count
        wait_until(lambda: len(self.mail_server.taken) >= enough, START_SECONDS, f"{count} more mails")

    def mails_to_come(self) -> int:
        return shortage(self.ledger.due(), self.mail_server.taken, self.refused)

    def sweep_many_times_at_once(self) -> None:
        """With mails waiting, so that the sweeps meet at them."""
        self.mail_server.shut()
        wait_until(lambda: self.mails_to_come() > 20, START_SECONDS, "mails that wait")
        self.mail_server.open()
        for _ in range(8):
            self.celery.send_task("messenger.tasks.sweep")

    def post_together(self, times: int) -> None:
        """Everybody into one topic, at one moment."""
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
        """From now on half of the people write to another web process."""
        for poster in self._posters[::2]:
            poster.address = address

    # -- Runs ----------------------------------------------------------------------------------------------

    def repeat(self, fault: Callable[[], None], runs: int, patience: float = 60, wait_each: bool = True) -> Figures:
        """`patience`: seconds from a fault's end after which a mail that is not there is called lost."""
        all_in = []
        for _ in range(runs):
            with self.posting():
                time.sleep(BEFORE_SECONDS)
                fault()
                over_at = time.monotonic()
                time.sleep(AFTER_SECONDS)
            if wait_each:
                all_in.append(self._await_mails(patience) - over_at)
        if not wait_each:
            all_in.append(self._await_mails(patience) - over_at)
        if runs > 1:
            time.sleep(settings.SWEEP_SECONDS + 1)  # for a double that comes late
        figures = figures_of(self.ledger, self.sent, self.mail_server.taken, self.cuts, self.refused)
        figures.runs, figures.kills, figures.all_in = runs, self.kills, max(all_in)
        return figures

    @contextmanager
    def posting(self) -> Iterator[None]:
        """People write inside the block; at its end all that they wrote is acknowledged."""
        enough = Event()
        failures: list[BaseException] = []

        def write(poster: Poster) -> None:
            try:
                while not enough.is_set():
                    body = f"Message {len(self.sent)} at {time.monotonic()} by {poster.email}"
                    self.sent.append(poster.post(self._choice.choice(self.scene.topics), body))
                    enough.wait(self.pause_seconds * self._choice.uniform(0.5, 1.5))
            except BaseException as failure:  # raised where the block ends
                failures.append(failure)

        threads = [Thread(target=write, args=[poster], daemon=True) for poster in self._posters]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def _await_mails(self, patience: float) -> float:
        """Wait until every mail due is in; returns when the last one was (time.monotonic())."""
        end = time.monotonic() + patience
        while self.mails_to_come() and time.monotonic() < end:
            time.sleep(0.2)
        settled_by = time.monotonic() + SETTLE_SECONDS
        while self._unsettled() and time.monotonic() < settled_by:
            time.sleep(0.05)
        taken = self.mail_server.taken
        return taken[-1].at if taken else end

    def _unsettled(self) -> bool:
        try:
            return any(row.state == "waiting" for row in self.ledger.deliveries())
        except psycopg2.Error:
            return True


@contextmanager
def driven(folder: Path, **environment: str) -> Iterator[Driver]:
    """A stack of its own that sends to a mail server of ours."""
    with MailServer() as mail_server, running_stack(folder, EMAIL_URL=mail_server.url, **environment) as stack:
        yield Driver(stack, mail_server)
