"""Where the time of a request goes: cProfile over the product in this process, without a web server."""

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

from bench.load import Unusable, one_of
from bench.scene import HOST, REDIRECTS
from bench.scene import statements as statements_of
from bench.targets import Request

REQUESTS = 60
SHOWN = 50
OURS = (
    r"(messenger|tenancy|accounts)/[a-z_/]+\.py|psycopg|compiler\.py.*(as_sql|execute_sql)|base\.py.*_render|sessions"
)

# Where code belongs: the first that its file's path holds. What functions written in C take is their callers'.
PARTS = {
    "": r"/django/test/|/bench/|cProfile",
    "statements, in Python": (
        r"psycopg2|/encodings/|/django/db/(backends|utils|transaction)|/django/utils/(asyncio|connection)|/prepared\.py"
    ),
    "querysets and models": r"/django/db/",
    "Redis": r"/redis/|/redis_client\.py|/cache\.py",
    "forms": r"/django/forms/|crispy|/forms(/|\.py)",
    "templates": r"/django/template/|/templatetags/|context_processors",
    "escaping": r"/django/utils/(html|safestring|text|encoding)|/html/",
    "language, dates, numbers": r"/utils/(translation|format|dateformat|timezone|numberformat|dates)|zoneinfo|gettext",
    "session, user, member": r"/accounts/|/tenancy/|/contrib/(auth|sessions)/",
    "lazy objects": r"/django/utils/functional",
    "random numbers": r"/random\.py|/secrets\.py|/django/utils/crypto",
    "middleware": r"/middleware|/django/utils/deprecation|whitenoise|permissions_policy",
    "Markdown": r"markdown_it|linkify|nh3|/bodies\.py|/mention_rule\.py",
    "rows": r"/messenger/(rows|topic_list|mentions|wording)\.py",
    "the view and what it asks": r"/messenger/",
    "addresses": r"/django/urls/|/urllib/",
    "request and response": r"/django/(http|core|dispatch|shortcuts|views)|asgiref|/http/|/email/",
}
OTHER = "other"


@dataclass(frozen=True)
class Cost:
    """Of one request in a process without load; all in milliseconds."""

    wall: float
    cpu: float
    parts: dict[str, float]
    """`cpu` by part, the largest first."""
    statements: list[tuple[str, float]]
    """Each in its order, with the time until PostgreSQL had answered."""


def cost_of(request: Request, requests: int = REQUESTS) -> Cost:
    ask = _asking(request)
    ask()
    profiler = cProfile.Profile(time.thread_time)
    statements = _timed_statements(ask)
    wall, cpu = _timed(ask, requests)
    profiler.enable()
    for _ in range(requests):
        ask()
    profiler.disable()
    seen = _by_part(pstats.Stats(profiler))
    whole = sum(seen.values())
    # The profiler slows all down: what it saw are shares.
    return Cost(wall, cpu, {part: cpu * took / whole for part, took in seen.most_common() if took}, statements)


def _by_part(stats: Any) -> Counter[str]:
    found: Counter[str] = Counter()
    for (path, _line, _name), (_calls, _all, own, _whole, callers) in stats.stats.items():
        shares = {caller[0]: took[2] for caller, took in callers.items()} if path == "~" else {path: own}
        for where, took in shares.items():
            found[_part(where)] += took
    del found[""]
    return found


def _part(path: str) -> str:
    return next((part for part, pattern in PARTS.items() if re.search(pattern, path)), OTHER)


def _timed_statements(ask: Callable[[], None], requests: int = 20) -> list[tuple[str, float]]:
    seen: list[list[tuple[str, float]]] = []

    def timed(execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        begun = time.perf_counter()
        try:
            return execute(sql, parameters, many, context)
        finally:
            seen[-1].append((sql, (time.perf_counter() - begun) * 1000))

    with connection.execute_wrapper(timed):
        for _ in range(requests):
            seen.append([])
            ask()
    # As most of them went: one may have counted anew what others remembered.
    usual = Counter(tuple(sql for sql, _ in one) for one in seen).most_common(1)[0][0]
    alike = [one for one in seen if tuple(sql for sql, _ in one) == usual]
    return [(sql, statistics.median(one[place][1] for one in alike)) for place, sql in enumerate(usual)]


def _timed(ask: Callable[[], None], requests: int) -> tuple[float, float]:
    begun, used = time.perf_counter(), time.process_time()
    for _ in range(requests):
        ask()
    return (time.perf_counter() - begun) * 1000 / requests, (time.process_time() - used) * 1000 / requests


def profile(request: Request, requests: int = REQUESTS) -> str:
    """Milliseconds a request without the profiler, and what the profiler saw; with it all is about twice as slow."""
    ask = _asking(request)
    ask()
    wall, cpu = _timed(ask, requests)
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
    for sql in statements_of(request):
        parts.append(sql)
        if sql.lstrip("( ").startswith(("SELECT", "WITH")) and "FOR " not in sql[-40:]:
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, BUFFERS) " + sql.replace("%", "%%"), [])
                parts.append("\n".join(f"    {row[0]}" for row in cursor.fetchall()))
    return "\n\n".join(parts)
