"""How much is filled in. Everything follows from a shape and its seed."""

from dataclasses import asdict, dataclass

BURST = 10  # messages within the interval, of which the first is e-mailed


@dataclass(frozen=True)
class Shape:
    seed: int
    threads: tuple[int, ...]
    """Lengths of the threads of the first group, the measured ones; the other topics share `others`."""
    topics: tuple[int, ...]
    """Sums: the first reader is in the groups that hold so many topics, the second in more of them, and so on."""
    topics_of_a_group: int
    others: int
    """Messages in all other topics together."""
    posted: int
    """Topics that are there to be posted into, with `posted_length` messages each."""
    posted_length: int
    members: int
    crowds: tuple[int, ...]
    """Sizes of the groups of the second tenancy, each with one topic."""
    tenancies: int
    """Further tenancies, with a group of two and a topic each."""

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
