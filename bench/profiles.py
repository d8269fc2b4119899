"""Where the time of a request goes: cProfile over the product in this process, without a web server."""

import cProfile
import io
import pstats
import time
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client

from bench.load import Unusable, one_of
from bench.scene import HOST, REDIRECTS, statements
from bench.targets import Request

REQUESTS = 60
SHOWN = 50
OURS = (
    r"(messenger|tenancy|accounts)/[a-z_/]+\.py|psycopg|compiler\.py.*(as_sql|execute_sql)|base\.py.*_render|sessions"
)


def profile(request: Request, requests: int = REQUESTS) -> str:
    """Milliseconds a request without the profiler, and what the profiler saw; with it all is about twice as slow."""
    ask = _asking(request)
    ask()
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(requests):
        ask()
    wall, cpu = ((time.perf_counter() - begun) * 1000 / requests, (time.process_time() - used) * 1000 / requests)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(requests):
        ask()
    profiler.disable()
    listing = io.StringIO()
    stats = pstats.Stats(profiler, stream=listing)
    stats.sort_stats("cumulative").print_stats(OURS, SHOWN)
    stats.sort_stats("tottime").print_stats(SHOWN // 2)
    return (
        f"{request.method} {request.path}: {wall:.2f} ms, of which CPU of this process {cpu:.2f} ms"
        f"\nprofile of {requests} requests\n{listing.getvalue()}"
    )


def _asking(request: Request) -> Callable[[], None]:
    client = Client(headers={**one_of(request).headers, "Host": HOST})  # one, for each loads the middleware anew

    def ask() -> None:
        once = one_of(request)
        arguments: dict[str, Any] = {}
        if once.body is not None:
            arguments = {"data": once.body, "content_type": once.headers["Content-Type"]}
        answer: Any = client.generic(once.method, once.path, **arguments)
        if answer.status_code >= REDIRECTS:
            raise Unusable(f"{once.path} was answered {answer.status_code}")

    return ask


def explain(request: Request) -> str:
    """Each statement of a request with its plan and times."""
    parts = []
    for sql in statements(request):
        parts.append(sql)
        if sql.lstrip("( ").startswith(("SELECT", "WITH")) and "FOR " not in sql[-40:]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql.replace("%", "%%"), [])
                parts.append("\n".join(f"    {row[0]}" for row in cursor.fetchall()))
    return "\n\n".join(parts)
