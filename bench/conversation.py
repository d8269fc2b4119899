"""When a topic's messages were posted, and which were e-mailed: bursts whose gaps are shorter than the interval."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.shape import BURST
from messenger.notifications.rule import is_email_due

INTERVAL = 5  # minutes, in every topic that is filled; short, so that a million messages fit into ten years


@dataclass(frozen=True, slots=True)
class Posted:
    sequence: int
    at: int  # seconds since 1970
    elapsed: int | None  # seconds since the previous message
    is_emailed: bool


def conversation(rng: random.Random, length: int, end: int) -> Iterator[Posted]:
    """`length` messages, the last of them at `end` (seconds since 1970)."""
    gaps = [_gap(rng, number) for number in range(1, length)]
    at = end - sum(gaps)
    yield Posted(1, at, None, True)
    interval = timedelta(minutes=INTERVAL).total_seconds()
    for sequence, gap in enumerate(gaps, start=2):
        at += gap
        yield Posted(sequence, at, gap, gap >= interval)


def _gap(rng: random.Random, number: int) -> int:
    return 300 + int(rng.random() * 200) if number % BURST == 0 else 5 + int(rng.random() * 90)


def follows_the_rule(posted: Posted) -> bool:
    """Whether the product's rule would have made the same decision; for the test."""
    at = datetime.fromtimestamp(posted.at, UTC)
    previous = None if posted.elapsed is None else at - timedelta(seconds=posted.elapsed)
    return posted.is_emailed == is_email_due(at, previous, timedelta(minutes=INTERVAL))
