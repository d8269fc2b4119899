"""The floors: the best that the machine can do, measured on the same servers with next to nothing in them."""

import subprocess
import sys

TOPICS = 20


def make_tables() -> None:
    """Create the tables of floor P. Runs in its own process because the floor has its own settings."""
    subprocess.run([sys.executable, "-m", "bench.floors.site"], check=True)
