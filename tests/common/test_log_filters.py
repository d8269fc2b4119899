import logging

import pytest

from common.log_filters import RedactTokens


@pytest.mark.parametrize(
    ("message", "logged"),
    [
        ("Gone: /invitations/WzFd:1abc:x-_y/", "Gone: /invitations/…/"),
        ("Not Found: /unsubscribe/WzEsMV0:1abc:x-_y/", "Not Found: /unsubscribe/…/"),
        ("Not Found: /accounts/password/reset/key/2-abc-123/", "Not Found: /accounts/password/reset/key/…/"),
        ("Not Found: /northwind/messenger/", "Not Found: /northwind/messenger/"),
    ],
)
def test_the_secret_part_of_a_link_is_not_logged(message: str, logged: str) -> None:
    record = logging.makeLogRecord({"msg": "%s: %s", "args": tuple(message.split(": "))})
    assert RedactTokens().filter(record)
    assert record.getMessage() == logged


def test_every_handler_redacts(settings: object) -> None:
    handlers = settings.LOGGING["handlers"].values()  # type: ignore[attr-defined]
    assert handlers
    assert all("redact_tokens" in handler["filters"] for handler in handlers)
