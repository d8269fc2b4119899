"""Starts PostgreSQL and Valkey for the tests and `make run`, unless an environment variable replaces them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from .claim import claimed
from .errors import StartupError
from .home import Home
from .postgres import postgres, postgres_answers
from .supervisor import Supervisor, display
from .valkey import valkey, valkey_answers

START_SECONDS = 60


@contextmanager
def servers(home: Home, durable: bool = True) -> Iterator[Home]:
    """Run PostgreSQL and Valkey inside the block; yields `home` with the ports that they listen on.

    With `durable=False` they are faster, and a crash may lose data. Raises StartupError.
    """
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
    probes: dict[str, Callable[[Home], bool]] = {"postgres": postgres_answers, "valkey": valkey_answers}
    for name, answers in probes.items():
        if name not in supervisor.running:
            continue
        if not supervisor.run_until(partial(answers, supervisor.home), START_SECONDS):
            log = supervisor.log_of(supervisor.running[name].program)
            raise StartupError(f"{name} does not answer after {START_SECONDS} seconds; see {display(log)}.")


def stop_servers(supervisor: Supervisor) -> None:
    supervisor.stop("valkey")
    supervisor.stop("postgres")


def is_embedded(variable: str) -> bool:
    """Whether the embedded server is used: `variable` (DATABASE_URL, REDIS_URL or EMAIL_URL) is not set."""
    return not os.environ.get(variable)
