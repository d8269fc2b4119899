"""How much data the database is filled with. A shape and its seed determine everything."""

from dataclasses import asdict, dataclass

BURST = 10  # messages in a row within the interval; only the first is e-mailed


@dataclass(frozen=True)
class Shape:
    seed: int
    threads: tuple[int, ...]
    """The lengths of the measured threads; they are in the first group."""
    topics: tuple[int, ...]
    """How many topics each reader can read: the first reader the fewest, the last one all."""
    topics_of_a_group: int
    others: int
    """The number of messages in all other topics together."""
    posted: int
    """The number of topics for measuring posts, with `posted_length` messages each."""
    posted_length: int
    members: int
    crowds: tuple[int, ...]
    """The sizes of the groups of the second tenancy; each group has one topic."""
    tenancies: int
    """The number of further tenancies, each with one topic and a group of two."""

    @property
    def name(self) -> str:
        return str(asdict(self))


FULL = Shape(
    seed=5,
    threads=(1_000_000, 100_000, 10_000, 1_000),
    topics=(50, 100, 200, 500, 1000, 2000, 5000),
    topics_of_a_group=250,
    others=850_000,
    posted=20,
    posted_length=1_000,
    members=1_000,
    crowds=(5, 50, 500, 5_000),
    tenancies=1_000,
)
TINY = Shape(
    seed=5,
    threads=(200, 60),
    topics=(5, 20),
    topics_of_a_group=5,
    others=200,
    posted=2,
    posted_length=20,
    members=12,
    crowds=(2, 5),
    tenancies=2,
)
