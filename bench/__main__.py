"""`python -m bench run`: the whole table; `fill`: what it is measured on; `quick`: few figures, soon."""

import argparse
import sys
import time

from bench.load import Unusable, ask, press
from bench.proc import cpu_ms
from bench.shape import FULL, TINY
from bench.stack import stack


def quick():
    with stack() as running:
        from bench.fill import fill
        from bench.scene import Scene, one_of, statements

        begun = time.monotonic()
        print("filled", fill(FULL), round(time.monotonic() - begun), "s")
        import subprocess

        subprocess.run([sys.executable, "-m", "bench.floors.site"], check=True)
        scene = Scene(FULL)
        scene.undo_posts()
        pages = running.start("pages")
        running.start("sink")
        running.start("worker")
        floor = running.start("floor")
        from bench.targets import Request
        from bench.load import LUA

        P = Request(
            "POST",
            "/write/",
            {"X-Topics": ",".join(map(str, range(1, 21))), "Content-Type": "application/x-www-form-urlencoded"},
            "topic=@TOPIC@&body=" + "x" * 120,
            LUA / "posts.lua",
        )
        targets = {
            "A": (floor, "floor", Request()),
            "P": (floor, "floor", P),
            "thread 1000": (pages, "pages", scene.thread(1000)),
            "thread 1000, reader of 50": (pages, "pages", scene.thread(1000, reader=scene.somewhere)),
            "thread 1M first": (pages, "pages", scene.thread(1_000_000, "?at=1")),
            "thread 1M mid": (pages, "pages", scene.thread(1_000_000, "?at=500000")),
            "thread 1M last": (pages, "pages", scene.thread(1_000_000, "?latest")),
            "topics 5000": (pages, "pages", scene.topics(scene.everywhere)),
            "topics 50": (pages, "pages", scene.topics(scene.somewhere)),
            "post": (pages, "pages", scene.post(scene.posted)),
            "post 1 topic": (pages, "pages", scene.post(scene.posted[:1])),
            "post 5": (pages, "pages", scene.post([scene.crowds[5]], scene.crowd_member)),
            "post 5000": (pages, "pages", scene.post([scene.crowds[5000]], scene.crowd_member)),
            "post 1M": (pages, "pages", scene.post([scene.threads[1_000_000]])),
        }
        for name, (url, server, request) in targets.items():
            answer = ask(url, one_of(request))
            sql = len(statements(request)) if server == "pages" else None
            print(name, answer.status, answer.size, sql, flush=True)
        time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 5)
        for _ in range(2):
            for name, (url, server, request) in targets.items():
                w, p = cpu_ms(running.pids(server)), cpu_ms(running.pids("postgres"))
                load = press(url, request, 4)
                w, p = cpu_ms(running.pids(server)) - w, cpu_ms(running.pids("postgres")) - p
                print(
                    f"{name:30} {load.per_second:8.0f}/s p50 {load.p50:6.1f} p99 {load.p99:7.1f} cpu {w / load.requests:6.2f} pg {p / load.requests:6.2f} errors {load.errors}",
                    flush=True,
                )


quick()
