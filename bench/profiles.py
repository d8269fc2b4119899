"""Where the time of a request goes: runs the product under cProfile in this process, without a web server."""

import cProfile
import io
import pstats
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.test import Client

from bench.load import BenchError, single_request
from bench.scene import HOST, REDIRECTS
from bench.scene import statements as statements_of
from bench.targets import Request

REQUESTS = 60
MAX_LINES = 50  # of a listing
SHOWN_FUNCTIONS = (
    r"(messenger|tenancy|accounts)/[a-z_/]+\.py|psycopg|compiler\.py.*(as_sql|execute_sql)|base\.py.*_render|sessions"
)

# Parts by the path of a file: the first pattern that matches. Functions written in C count for their callers.
PARTS = {
    "": r"/django/test/|/bench/|cProfile",
    "statements, in Python": (
        r"psycopg2|/encodings/|/django/db/(backends|utils|transaction)|/django/utils/(asyncio|connection)|/prepared\.py"
    ),
    "querysets and models": r"/django/db/",
    "Redis": r"/redis/|/redis_client\.py|/redis_cache\.py",
    "forms": r"/django/forms/|crispy|/forms(/|\.py)",
    "templates": r"/django/template/|/templatetags/|context_processors",
    "escaping": r"/django/utils/(html|safestring|text|encoding)|/html/",
    "language, dates, numbers": r"/utils/(translation|format|dateformat|timezone|numberformat|dates)|zoneinfo|gettext",
    "session, user, member": r"/accounts/|/tenancy/|/contrib/(auth|sessions)/",
    "lazy objects": r"/django/utils/functional",
    "random numbers": r"/random\.py|/secrets\.py|/django/utils/crypto",
    "middleware": r"/middleware|/django/utils/deprecation|whitenoise|permissions_policy",
    "Markdown": r"markdown_it|linkify|nh3|/messenger/markup/",
    "rows": r"/messenger/(messages/rendering|topics/listing|notifications/explanations/wording)\.py",
    "the view and what it asks": r"/messenger/",
    "addresses": r"/django/urls/|/urllib/",
    "request and response": r"/django/(http|core|dispatch|shortcuts|views)|asgiref|/http/|/email/",
}
OTHER = "other"


@dataclass(frozen=True)
class Cost:
    """The cost of one request in a process without load, in milliseconds."""

    wall: float
    cpu: float
    parts: dict[str, float]
    """`cpu` by part, the largest first."""
    statements: list[tuple[str, float]]
    """The SQL statements in the order of execution, with the time until PostgreSQL answered."""


def cost_of(request: Request, requests: int = REQUESTS) -> Cost:
    """The cost of a request, averaged over this number of `requests`."""
    send = _sender(request)
    send()
    profiler = cProfile.Profile(time.thread_time)
    statements = _timed_statements(send)
    wall, cpu = _timed(send, requests)
    profiler.enable()
    for _ in range(requests):
        send()
    profiler.disable()
    profiled = _by_part(pstats.Stats(profiler))
    whole = sum(profiled.values())
    # The profiler slows everything down, so only the shares are taken from it.
    return Cost(wall, cpu, {part: cpu * took / whole for part, took in profiled.most_common() if took}, statements)


def _by_part(stats: Any) -> Counter[str]:
    times: Counter[str] = Counter()
    for (path, _line, _name), (_calls, _all, own, _whole, callers) in stats.stats.items():
        shares = {caller[0]: took[2] for caller, took in callers.items()} if path == "~" else {path: own}
        for file, took in shares.items():
            times[_part(file)] += took
    del times[""]
    return times


def _part(path: str) -> str:
    return next((part for part, pattern in PARTS.items() if re.search(pattern, path)), OTHER)


def _timed_statements(send: Callable[[], None], requests: int = 20) -> list[tuple[str, float]]:
    executed: list[list[tuple[str, float]]] = []  # for each request

    def timed(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, parameters, many, context)
        finally:
            executed[-1].append((sql, (time.perf_counter() - begun) * 1000))

    with connection.execute_wrapper(timed):
        for _ in range(requests):
            executed.append([])
            send()
    # Take the most frequent sequence of statements: a request may have queried again what others found in a cache.
    usual = Counter(tuple(sql for sql, _ in statements) for statements in executed).most_common(1)[0][0]
    alike = [statements for statements in executed if tuple(sql for sql, _ in statements) == usual]
    return [(sql, statistics.median(each[position][1] for each in alike)) for position, sql in enumerate(usual)]


def _timed(send: Callable[[], None], requests: int) -> tuple[float, float]:
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(requests):
        send()
    return (time.perf_counter() - begun) * 1000 / requests, (time.process_time() - used) * 1000 / requests


def profile(request: Request, requests: int = REQUESTS) -> str:
    """A listing: milliseconds per request without the profiler, then the profile, which takes about twice as long."""
    send = _sender(request)
    send()
    wall, cpu = _timed(send, requests)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(requests):
        send()
    profiler.disable()
    listing = io.StringIO()
    stats = pstats.Stats(profiler, stream=listing)
    stats.sort_stats("cumulative").print_stats(SHOWN_FUNCTIONS, MAX_LINES)
    stats.sort_stats("tottime").print_stats(MAX_LINES // 2)
    return (
        f"{request.method} {request.path}: {wall:.2f} ms, of which CPU of this process {cpu:.2f} ms"
        f"\nprofile of {requests} requests\n{listing.getvalue()}"
    )


def _sender(request: Request) -> Callable[[], None]:
    # A single client: each new one would load the middleware again.
    client = Client(headers={**single_request(request).headers, "Host": HOST})

    def send() -> None:
        once = single_request(request)
        arguments: dict[str, Any] = {}
        if once.body is not None:
            arguments = {"data": once.body, "content_type": once.headers["Content-Type"]}
        response: Any = client.generic(once.method, once.path, **arguments)
        if response.status_code >= REDIRECTS:
            raise BenchError(f"{once.path} returned {response.status_code}")

    return send


def explain(request: Request) -> str:
    """The SQL statements of a request, each with its plan and times from EXPLAIN ANALYZE."""
    parts = []
    for sql in statements_of(request):
        parts.append(sql)
        if sql.lstrip("( ").startswith(("SELECT", "WITH")) and "FOR " not in sql[-40:]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql.replace("%", "%%"), [])
                parts.append("\n".join(f"    {row[0]}" for row in cursor.fetchall()))
    return "\n\n".join(parts)
