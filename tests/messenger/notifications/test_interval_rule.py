from datetime import UTC, datetime, timedelta

import pytest

from messenger.notifications.rule import is_email_due

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since_previous", "interval", "due"),
    [
        (None, 15 * MINUTE, True),  # the first message of a topic
        (None, 0 * MINUTE, True),
        (14 * MINUTE, 15 * MINUTE, False),
        (15 * MINUTE - timedelta(microseconds=1), 15 * MINUTE, False),
        (15 * MINUTE, 15 * MINUTE, True),  # exactly the interval is enough
        (16 * MINUTE, 15 * MINUTE, True),
        (0 * MINUTE, 0 * MINUTE, True),  # with an interval of 0, every message
        (0 * MINUTE, MINUTE, False),
        (timedelta(days=7), timedelta(days=7), True),
        (timedelta(days=6, hours=23), timedelta(days=7), False),
    ],
)
def test_a_message_is_emailed_unless_less_than_the_interval_has_passed(
    since_previous: timedelta | None, interval: timedelta, due: bool
) -> None:
    previous = None if since_previous is None else NOON - since_previous
    assert is_email_due(NOON, previous, interval) is due
