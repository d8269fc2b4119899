"""What the machine can do at best: the same servers, and next to nothing in them."""

import subprocess
import sys

from bench.load import LUA
from bench.targets import Request

TOPICS = 20
BODY = "x" * 120


def make_tables() -> None:
    """Of floor P, in a process of its own: it has settings of its own."""
    subprocess.run([sys.executable, "-m", "bench.floors.site"], check=True)


def insert_and_update() -> Request:
    topics = ",".join(str(number) for number in range(1, TOPICS + 1))
    return Request(
        method="POST",
        path="/write/",
        headers={"X-Topics": topics, "Content-Type": "application/x-www-form-urlencoded"},
        body=f"topic=@TOPIC@&body={BODY}",
        lua=LUA / "posts.lua",
    )
