"""Opening an address writes nothing: no GET, with any query in use, changes a row."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.project.test_hostile_input import QUERY_FIELDS
from tests.support.stage import ROUTES, Stage, rolled_back, snapshot

ROOT: Path = settings.BASE_DIR
READ = re.compile(r"""GET(?:\.get\(|\.getlist\(|\[)"(\w+)"|"(\w+)" in request\.GET""")
LINKED = re.compile(r"[?&](\w+)=")


def names_in_use() -> set[str]:
    """The names of queries that views read, and that pages and scripts link to."""
    python = [file for app in ("accounts", "tenancy", "messenger") for file in (ROOT / app).rglob("*.py")]
    linking = [*(ROOT / "templates").rglob("*.html"), *(ROOT / "static" / "js").glob("*.js")]
    found = {name for file in python for names in READ.findall(file.read_text()) for name in names}
    found |= {name for file in linking for name in LINKED.findall(file.read_text())}
    return found - {""} | {*QUERY_FIELDS, "after", "at"}


def queries_of(stage: Stage, route: str) -> list[dict[str, Any]]:
    """None, all that the form of the page would post, and each name by itself."""
    form = {**stage.form(route), "confirmed": "1", "muted": "1"}
    return [{}, form, {"up_to": "1"}, {"format": "csv"}, *({name: "1"} for name in sorted(names_in_use()))]


def test_the_queries_in_use_are_found() -> None:
    assert {"since", "from", "quote", "latest", "q", "page", "inactive", "older"} <= names_in_use()


@pytest.mark.parametrize("route", ROUTES)
def test_no_get_changes_a_row(stage: Stage, route: str) -> None:
    before, path = snapshot(with_read_positions=True), stage.path(route)
    assert len(before) > 15, "or the test proves nothing"
    for role in ("stranger", "bob", "alice", "dana"):
        with rolled_back():
            client = stage.client(role)
            for query in queries_of(stage, route):
                with CaptureQueriesContext(connection) as captured:
                    response = client.get(path, query)
                    assert client.head(path, query).status_code == response.status_code < 500
                assert writes_in(captured) == [], query
                if response.status_code in (403, 404, 405) and not query:
                    break  # a page that this role does not have
            assert snapshot(with_read_positions=True) == before, role


def writes_in(captured: CaptureQueriesContext) -> list[str]:
    """Statements that write; a session is kept, for instance the banner that says what was refused."""
    writing = re.compile(r"\s*(INSERT|UPDATE|DELETE|TRUNCATE|MERGE)\b", re.IGNORECASE)
    found = [query["sql"] for query in captured.captured_queries if writing.match(query["sql"])]
    return [sql for sql in found if "accounts_session" not in sql]


def test_a_write_would_be_noticed(stage: Stage) -> None:
    before = snapshot(with_read_positions=True)
    with rolled_back(), CaptureQueriesContext(connection) as captured:
        stage.client("bob").post(stage.path("messenger:read"), {"up_to": "1"})
        assert writes_in(captured) != []
        assert snapshot(with_read_positions=True) != before
