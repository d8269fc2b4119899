"""Where the memory of a web worker goes, measured in a separate process that loads the product and answers requests.

`python -m bench.memory steps` reports the size after each step; `allocations` traces each allocation and reports what
made it. Both read requests from standard input and print JSON.
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
TIMES = 40  # that each request is repeated
THREADS = 4
LARGEST = 12


@dataclass(frozen=True)
class Memory:
    steps: dict[str, float]  # total MiB after each step
    imported: dict[str, float]  # MiB by package, only what a bare worker does not import
    retained: dict[str, float]  # MiB by the module that allocated it, still in use after all requests


def memory_of(requests: Iterable[Any]) -> Memory:
    """The memory of a worker that answers these `bench.targets.Request`s."""
    requests_json = json.dumps([{**asdict(request), "lua": None} for request in requests])
    return Memory(_run("steps", requests_json), *_run("allocations", requests_json))


def _run(what: str, requests_json: str) -> Any:
    command = [sys.executable, "-m", "bench.memory", what]
    done = subprocess.run(command, input=requests_json, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
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


def _allocations(requests: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, float]]:
    importlib.import_module(SERVER)
    importlib.import_module("django.core.handlers.wsgi")
    importlib.import_module("django.db.backends.postgresql.base")
    tracemalloc.start()
    tracker = _ImportTracker()
    answer = _application()
    imported = tracker.bytes_by_package
    for request in requests[:1]:
        answer(request)
    gc.collect()
    before = tracemalloc.take_snapshot()
    for request in requests:
        for _ in range(TIMES):
            answer(request)
    gc.collect()
    retained: Counter[str] = Counter()
    for line in tracemalloc.take_snapshot().compare_to(before, "filename"):
        retained["/".join(Path(line.traceback[0].filename).parts[-2:])] += line.size_diff
    return _largest(imported), _largest(retained)


def _largest(sizes: Counter[str]) -> dict[str, float]:
    return {name: size / 2**20 for name, size in sizes.most_common(LARGEST)}


class _ImportTracker:
    """From its creation on, counts what is allocated while a module is imported, without the modules it imports."""

    def __init__(self) -> None:
        self.bytes_by_package: Counter[str] = Counter()
        nested = [0]
        execute: Any = importlib.machinery.SourceFileLoader.exec_module

        def exec_module(loader: Any, module: ModuleType) -> None:
            begun = tracemalloc.get_traced_memory()[0]
            nested.append(0)
            try:
                execute(loader, module)
            finally:
                whole = tracemalloc.get_traced_memory()[0] - begun
                self.bytes_by_package[module.__name__.partition(".")[0]] += whole - nested.pop()
                nested[-1] += whole

        importlib.machinery.SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign, assignment]


def _application() -> Callable[[dict[str, Any]], None]:
    application = importlib.import_module("ippex_messenger.wsgi").application

    def answer(request: dict[str, Any]) -> None:
        from bench.load import single_request
        from bench.targets import Request

        once = single_request(Request(**request))
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
        response = application(environ, lambda status, headers: statuses.append(status))
        list(response)
        response.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"{once.path} returned {statuses[0]}")

    return answer


if __name__ == "__main__":
    measure = {"steps": _steps, "allocations": _allocations}[sys.argv[1]]
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
