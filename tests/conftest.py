from collections.abc import Iterator
from typing import Any

import pytest

from ippex_messenger.breaker import redis_breaker
from ippex_messenger.embedded.home import Home
from ippex_messenger.embedded.servers import servers
from tests.cast import Cast, assemble
from tests.faults import mailing_to
from tests.smtp import SmtpServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser first: what takes longest should not be what a parallel run waits for at its end."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[None]:
    with servers(Home.current(), durable=False):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_servers: None) -> None:
    """pytest-django asks for this before it makes the test database: by then PostgreSQL answers."""


@pytest.fixture(autouse=True)
def redis_is_there() -> None:
    """What one test did to Redis is nothing to the next."""
    redis_breaker.reset()


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice, Bob and the others, in their tenancies and groups (tests/cast.py)."""
    return assemble()


@pytest.fixture
def smtp(settings: Any) -> Iterator[SmtpServer]:
    """A real SMTP server; what Django sends goes there."""
    with mailing_to(SmtpServer(), settings) as server:
        yield server
