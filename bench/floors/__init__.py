"""What the machine can do at best: the same servers, and next to nothing in them."""

import subprocess
import sys

TOPICS = 20


def make_tables() -> None:
    """Of floor P, in a process of its own: it has settings of its own."""
    subprocess.run([sys.executable, "-m", "bench.floors.site"], check=True)
