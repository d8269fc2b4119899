"""What the memory of a web worker is made of: a process of its own that loads the pages as one does, and answers each.

`python -m bench.memory steps` says how it grows, `made` of what, with each allocation traced; both read requests from
standard input and answer in JSON.
"""

import gc
import importlib.machinery
import io
import json
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

SERVER = "granian.server.mp"
TIMES = 40  # each request
THREADS = 4
LARGEST = 12


@dataclass(frozen=True)
class Memory:
    steps: dict[str, float]  # MiB in all, after each of them
    imported: dict[str, float]  # MiB by package, of what a bare worker does not import
    kept: dict[str, float]  # MiB by the module that made it, once all pages were answered


def memory_of(requests: Iterable[Any]) -> Memory:
    """Of a worker that answers these `bench.targets.Request`s."""
    asked = json.dumps([{**asdict(request), "lua": None} for request in requests])
    return Memory(_ask("steps", asked), *_ask("made", asked))


def _ask(what: str, asked: str) -> Any:
    command = [sys.executable, "-m", "bench.memory", what]
    done = subprocess.run(command, input=asked, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout)


def _steps(requests: list[dict[str, Any]]) -> dict[str, float]:
    from bench.proc import pss_kib

    found = {}

    def note(step: str) -> None:
        found[step] = pss_kib("self") / 1024

    importlib.import_module(SERVER)
    note("Python and the server")
    answer = _application()
    note("the product loaded")
    for request in requests:
        answer(request)
    note("each page answered once")
    with ThreadPoolExecutor(THREADS) as threads:
        for request in requests:
            list(threads.map(answer, [request] * TIMES))
    note(f"and {TIMES} times more, in {THREADS} threads")
    importlib.import_module("ippex_messenger.celery").app.amqp  # noqa: B018  (loads the rest)
    importlib.import_module("kombu.transport.redis")
    note("Celery, for the first hint")
    return found


def _made(requests: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    importlib.import_module(SERVER)
    importlib.import_module("django.core.handlers.wsgi")
    importlib.import_module("django.db.backends.postgresql.base")
    tracemalloc.start()
    with_modules = _ModulesOfPackages()
    answer = _application()
    imported = with_modules.kib
    for request in requests[:1]:
        answer(request)
    gc.collect()
    before = tracemalloc.take_snapshot()
    for request in requests:
        for _ in range(TIMES):
            answer(request)
    gc.collect()
    kept: Counter[str] = Counter()
    for line in tracemalloc.take_snapshot().compare_to(before, "filename"):
        kept["/".join(Path(line.traceback[0].filename).parts[-2:])] += line.size_diff
    return _largest(imported), _largest(kept)


def _largest(found: Counter[str]) -> dict[str, float]:
    return {name: size / 2**20 for name, size in found.most_common(LARGEST)}


class _ModulesOfPackages:
    """From now on what is traced while a module is imported counts for its package, without those that it imports."""

    def __init__(self) -> None:
        self.kib: Counter[str] = Counter()
        within = [0]
        execute: Any = importlib.machinery.SourceFileLoader.exec_module

        def exec_module(loader: Any, module: ModuleType) -> None:
            begun = tracemalloc.get_traced_memory()[0]
            within.append(0)
            try:
                execute(loader, module)
            finally:
                whole = tracemalloc.get_traced_memory()[0] - begun
                self.kib[module.__name__.partition(".")[0]] += whole - within.pop()
                within[-1] += whole

        importlib.machinery.SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]


def _application() -> Callable[[dict[str, Any]], None]:
    application = importlib.import_module("ippex_messenger.wsgi").application

    def answer(request: dict[str, Any]) -> None:
        from bench.load import one_of
        from bench.targets import Request

        once = one_of(Request(**request))
        url, body = urlsplit(once.path), (once.body or "").encode()
        headers = {name.upper().replace("-", "_"): value for name, value in once.headers.items()}
        environ = {
            **{f"HTTP_{name}": value for name, value in headers.items()},
            "CONTENT_TYPE": headers.get("CONTENT_TYPE", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REQUEST_METHOD": once.method,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "HTTP_HOST": "127.0.0.1",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
        }
        statuses: list[str] = []
        answered = application(environ, lambda status, headers: statuses.append(status))
        list(answered)
        answered.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"{once.path} was answered {statuses[0]}")

    return answer


if __name__ == "__main__":
    does = {"steps": _steps, "made": _made}[sys.argv[1]]
    json.dump(does(json.load(sys.stdin)), sys.stdout)
