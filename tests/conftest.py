from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
from django.db import connection
from django.test.utils import setup_databases, teardown_databases
from playwright.sync_api import Browser

from common.caching.circuit_breaker import redis_breaker
from common.caching.page_cache import PlaceholderValue, _Skeleton
from ippex_messenger.embedded.home import Home
from ippex_messenger.embedded.servers import servers
from messenger.notifications.delivery.mails import clear_mail_cache
from messenger.notifications.recipients import clear_audience_cache
from tests.fault_runs import report as report_of_faults
from tests.support.browser import chromium, chromium_or_skip
from tests.support.cast import Cast, assemble
from tests.support.faults import mailing_to
from tests.support.smtp import SmtpServer
from tests.support.stack import Stack, running_stack
from tests.support.stage import Stage, set_stage, undone


def pytest_addoption(parser: pytest.Parser) -> None:
    runs = "how often each fault is done to a running stack (make test-faults); none: one short run of some"
    parser.addoption("--fault-runs", type=int, default=0, help=runs)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The browser first: what takes longest should not be what a parallel run waits for at its end."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)
    if not config.getoption("--fault-runs"):
        long = [item for item in items if item.get_closest_marker("fault_runs")]
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    rows = [value for report in reports for name, value in report.user_properties if name == report_of_faults.PROPERTY]
    if rows:
        terminalreporter.section("faults")
        terminalreporter.write_line("\n".join(report_of_faults.table(sorted(rows))))


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[None]:
    with servers(Home.current(), durable=False):
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(embedded_servers: None) -> None:
    """pytest-django asks for this before it makes the test database: by then PostgreSQL answers."""


@pytest.fixture(autouse=True)
def compared_templates(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """In every test, each filled-in page skeleton is compared with its template, rendered with the same values.

    The comparison sits in the method that fills in, so it does not matter how a caller imports `render_skeleton`.
    Returns the names of the templates compared so far.
    """
    fill, compared = _Skeleton.filled, set[str]()

    def filled(skeleton: _Skeleton, values: Mapping[str, PlaceholderValue]) -> bytes:
        html = fill(skeleton, values)
        assert html.decode() == skeleton.rendered(values)
        compared.add(skeleton.template)
        return html

    monkeypatch.setattr(_Skeleton, "filled", filled)
    return compared


@pytest.fixture(autouse=True)
def redis_is_there() -> None:
    """What one test did to Redis is nothing to the next."""
    redis_breaker.reset()


@pytest.fixture(autouse=True)
def process_is_new() -> None:
    """What one test counted is nothing to the next."""
    clear_audience_cache()
    clear_mail_cache()


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice, Bob and the others, in their tenancies and groups (tests/support/cast.py)."""
    return assemble()


@pytest.fixture
def smtp(settings: Any) -> Iterator[SmtpServer]:
    """A real SMTP server; what Django sends goes there."""
    with mailing_to(SmtpServer(), settings) as server:
        yield server


@pytest.fixture(scope="module")
def stage_of_the_module(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    """Set once, for setting it takes longer than most questions that are asked on it."""
    with django_db_blocker.unblock(), _test_database(), undone():
        yield set_stage()


@contextmanager
def _test_database() -> Iterator[None]:
    """pytest-django makes the test database only where a test of the run asks for it by a mark or by `db`."""
    if connection.settings_dict["NAME"].startswith("test_"):
        yield
        return
    made = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)


@pytest.fixture
def stage(stage_of_the_module: Stage, settings: Any) -> Iterator[Stage]:
    """The cast among canaries (tests/support/stage.py); what a test does on it is undone."""
    settings.ACCOUNT_RATE_LIMITS = False  # many ask in a short time
    with undone():
        yield deepcopy(stage_of_the_module)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What `make run` starts, for tests in a browser; they are of the xdist_group "stack", to share it."""
    chromium_or_skip()
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")  # while it is open, Django takes its process for an asynchronous one
def browser(stack: Stack) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
