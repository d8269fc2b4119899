"""Sends requests: many at once with wrk for a turn of load, or a single one."""

import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bench.targets import Request

LUA = Path(__file__).parent / "lua"
CONCURRENCY = 8


class BenchError(Exception):
    """The measurement is impossible or worthless. The text is a sentence for the person at the terminal."""


@dataclass(frozen=True)
class Load:
    requests: int
    seconds: float
    p50: float  # milliseconds, like the next two
    p95: float
    p99: float
    errors: int

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def find_wrk() -> str:
    found = shutil.which("wrk")
    if not found:
        raise BenchError(
            "The bench sends its requests with wrk, which is not installed: apt-get install wrk (Debian, Ubuntu)."
        )
    return found


def run_wrk(url: str, request: Request, seconds: float, concurrency: int = CONCURRENCY) -> Load:
    """Let `concurrency` clients send the request for `seconds`, each as soon as its previous one is answered."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(request))
        script.flush()
        command = [find_wrk(), "-t1", f"-c{concurrency}", f"-d{seconds:g}s", "--timeout", "30s", "-s", script.name]
        done = subprocess.run([*command, url + request.path], capture_output=True, text=True, check=False)  # noqa: S603
    figures = next((line for line in done.stdout.splitlines() if line.startswith("{")), "")
    if not figures:
        raise BenchError(f"wrk failed at {url}{request.path}: {done.stderr or done.stdout}")
    found = json.loads(figures)
    return Load(
        requests=found["requests"],
        seconds=found["microseconds"] / 1e6,
        p50=found["p50"] / 1000,
        p95=found["p95"] / 1000,
        p99=found["p99"] / 1000,
        errors=found["errors"],
    )


def _script(request: Request) -> str:
    lines = [f"wrk.method = {json.dumps(request.method)}"]
    lines += [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()]
    if request.body is not None:
        lines.append(f"wrk.body = {json.dumps(request.body)}")
    scripts = [LUA / "report.lua", *([request.lua] if request.lua else [])]
    return "\n".join([*lines, *(f"dofile({json.dumps(str(script))})" for script in scripts)])


@dataclass(frozen=True)
class Response:
    status: int
    size: int
    body: bytes


def send(url: str, request: Request) -> Response:
    """Send one request, without following redirects."""

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_arguments: object) -> None:
            return None

    data = request.body.encode() if request.body is not None else None
    http_request = urllib.request.Request(url + request.path, data, request.headers, method=request.method)  # noqa: S310
    try:
        with urllib.request.build_opener(NoRedirect).open(http_request, timeout=60) as response:
            body = response.read()
            return Response(response.status, len(body), body)
    except urllib.error.HTTPError as error:
        return Response(error.code, 0, error.read())


def single_request(request: Request) -> Request:
    """A request as wrk's script would send it once: with its first topic and a new client id."""
    topic = request.headers.get("X-Topics", "").split(",")[0]
    headers = {name: value for name, value in request.headers.items() if name != "X-Topics"}
    body = (request.body or "").replace("@UUID@", str(uuid4())).replace("@TOPIC@", topic)
    return Request(request.method, request.path.replace("@TOPIC@", topic), headers, body or None)
