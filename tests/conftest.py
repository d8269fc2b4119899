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
from tests.support.stage import Stage, rolled_back, set_stage


def pytest_addoption(parser: pytest.Parser) -> None:
    runs = "how often each fault is injected into a running stack (make test-faults); by default one short run of some"
    parser.addoption("--fault-runs", type=int, default=0, help=runs)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run browser tests first: a parallel run should not end by waiting for the slowest tests."""
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
    """pytest-django requests this fixture before it creates the test database, so PostgreSQL answers by then."""


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
def closed_circuit_breaker() -> None:
    """Redis counts as available, even if an earlier test made it fail."""
    redis_breaker.reset()


@pytest.fixture(autouse=True)
def empty_process_caches() -> None:
    """No test reads what an earlier one cached."""
    clear_audience_cache()
    clear_mail_cache()


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice, Bob and the others in their tenancies and groups (tests/support/cast.py)."""
    return assemble()


@pytest.fixture
def smtp(settings: Any) -> Iterator[SmtpServer]:
    """A real SMTP server, to which Django sends its mails."""
    with mailing_to(SmtpServer(), settings) as server:
        yield server


@pytest.fixture(scope="module")
def module_stage(django_db_setup: None, django_db_blocker: Any) -> Iterator[Stage]:
    """Set once for a module, because setting it takes longer than most tests that use it."""
    with django_db_blocker.unblock(), _test_database(), rolled_back():
        yield set_stage()


@contextmanager
def _test_database() -> Iterator[None]:
    """pytest-django creates the test database only if a test requests it by a mark or by the fixture `db`."""
    if connection.settings_dict["NAME"].startswith("test_"):
        yield
        return
    made = setup_databases(verbosity=0, interactive=False)
    try:
        yield
    finally:
        teardown_databases(made, verbosity=0)


@pytest.fixture
def stage(module_stage: Stage, settings: Any) -> Iterator[Stage]:
    """The cast with canaries (tests/support/stage.py). The changes that a test makes are rolled back."""
    settings.ACCOUNT_RATE_LIMITS = False  # tests send many requests in a short time
    with rolled_back():
        yield deepcopy(module_stage)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """What `make run` starts, for tests in a browser. They have the xdist_group "stack", so that they share it."""
    chromium_or_skip()
    with running_stack(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="module")  # not longer: while it is open, Django thinks that the process is asynchronous
def browser(stack: Stack) -> Iterator[Browser]:
    with chromium() as browser:
        yield browser
