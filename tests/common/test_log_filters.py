import logging

import pytest

from common.log_filters import RedactTokens


@pytest.mark.parametrize(
    ("said", "logged"),
    [
        ("Gone: /invitations/WzFd:1abc:x-_y/", "Gone: /invitations/…/"),
        ("Not Found: /unsubscribe/WzEsMV0:1abc:x-_y/", "Not Found: /unsubscribe/…/"),
        ("Not Found: /accounts/password/reset/key/2-abc-123/", "Not Found: /accounts/password/reset/key/…/"),
        ("Not Found: /northwind/messenger/", "Not Found: /northwind/messenger/"),
    ],
)
def test_a_link_that_lets_in_whoever_holds_it_is_not_logged(said: str, logged: str) -> None:
    record = logging.makeLogRecord({"msg": "%s: %s", "args": tuple(said.split(": "))})
    assert RedactTokens().filter(record)
    assert record.getMessage() == logged


def test_every_handler_redacts(settings: object) -> None:
    handlers = settings.LOGGING["handlers"].values()  # type: ignore[attr-defined]
    assert handlers
    assert all("redact_tokens" in handler["filters"] for handler in handlers)
