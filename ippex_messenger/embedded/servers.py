"""PostgreSQL and Valkey, those of them that no variable replaces: for the tests, and for `make run`."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from .claim import claimed
from .errors import Refused
from .home import Home
from .postgres import postgres, postgres_answers
from .supervisor import Supervisor, display
from .valkey import valkey, valkey_answers

START_SECONDS = 60


@contextmanager
def servers(home: Home, durable: bool = True) -> Iterator[Home]:
    """PostgreSQL and Valkey run inside the block; yields `home` with the ports they really have."""
    with claimed(home) as claim:
        supervisor = Supervisor(claim, say=print)
        try:
            start_servers(supervisor, durable)
            wait_for_servers(supervisor)
            yield claim
        finally:
            stop_servers(supervisor)


def start_servers(supervisor: Supervisor, durable: bool = True) -> None:
    if is_embedded("REDIS_URL"):
        supervisor.start(valkey(supervisor.home, durable))
    if is_embedded("DATABASE_URL"):
        supervisor.start(postgres(supervisor.home, durable))


def wait_for_servers(supervisor: Supervisor) -> None:
    questions: dict[str, Callable[[Home], bool]] = {"postgres": postgres_answers, "valkey": valkey_answers}
    for name, answers in questions.items():
        if name not in supervisor.running:
            continue
        if not supervisor.until(partial(answers, supervisor.home), START_SECONDS):
            log = supervisor.log_of(supervisor.running[name].program)
            raise Refused(f"{name} does not answer after {START_SECONDS} seconds; see {display(log)}.")


def stop_servers(supervisor: Supervisor) -> None:
    supervisor.stop("valkey")
    supervisor.stop("postgres")


def is_embedded(variable: str) -> bool:
    """Whether the server that `variable` would name (DATABASE_URL, REDIS_URL, EMAIL_URL) is ours to run."""
    return not os.environ.get(variable)
