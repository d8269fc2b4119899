"""When a topic's messages were posted, by whom, and what was decided: bursts within the interval."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bench.shape import BURST
from messenger.notifications.rule import is_email_due

INTERVAL = 5  # minutes; of all filled topics, so that ten years are enough for a million messages


@dataclass(frozen=True, slots=True)
class Said:
    sequence: int
    at: int
    """Seconds since 1970, as `elapsed` is seconds since the message before."""
    elapsed: int | None
    is_emailed: bool


def conversation(rng: random.Random, length: int, end: int) -> Iterator[Said]:
    """So many messages, the last of them at `end`."""
    gaps = [_gap(rng, number) for number in range(1, length)]
    at = end - sum(gaps)
    yield Said(1, at, None, True)
    interval = timedelta(minutes=INTERVAL).total_seconds()
    for sequence, gap in enumerate(gaps, start=2):
        at += gap
        yield Said(sequence, at, gap, gap >= interval)


def _gap(rng: random.Random, number: int) -> int:
    return 300 + int(rng.random() * 200) if number % BURST == 0 else 5 + int(rng.random() * 90)


def as_the_rule_says(said: Said) -> bool:
    """What the product's rule makes of it; for the test."""
    at = datetime.fromtimestamp(said.at, UTC)
    previous = None if said.elapsed is None else at - timedelta(seconds=said.elapsed)
    return said.is_emailed == is_email_due(at, previous, timedelta(minutes=INTERVAL))
