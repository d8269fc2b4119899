"""The product's own processes, as `make run` starts them."""

import http.client
import sys

from .home import Home
from .processes import Program

# Open streams are idle and cost next to nothing. By default granian accepts no more than 1,024 connections.
MAX_CONNECTIONS = 20_000


def preparation(home: Home, demo: bool) -> Program:
    return Program(
        name="prepare",
        command=(sys.executable, "-m", "ippex_messenger.embedded.prepare", *(["--demo"] if demo else [])),
        environment=_environment(home),
    )


def web(home: Home, port: int) -> Program:
    return Program(
        name="web",
        command=(
            *(sys.executable, "-m", "granian", "--interface", "asginl"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("--workers", "1", "--log-level", "warning", "--no-ws"),
            *("--backpressure", str(MAX_CONNECTIONS)),
            *("--workers-kill-timeout", "2"),  # open streams would keep a worker from stopping
            "ippex_messenger.embedded.web:application",
        ),
        environment=_environment(home),
    )


def worker(home: Home) -> Program:
    return Program(
        name="worker",
        command=(
            *(
                sys.executable,
                "-m",
                "celery",
                "--quiet",
                "-A",
                "ippex_messenger",
                "worker",
                "--loglevel",
                "WARNING",
            ),
            *("--pool", "threads", "--concurrency", "4"),
            *("--without-mingle", "--without-gossip", "--without-heartbeat"),  # there is only one worker
        ),
        environment=_environment(home),
    )


def beat(home: Home) -> Program:
    return Program(
        name="beat",
        command=(
            *(
                sys.executable,
                "-m",
                "celery",
                "--quiet",
                "-A",
                "ippex_messenger",
                "beat",
                "--loglevel",
                "WARNING",
            ),
            *("--schedule", str(home.folder / "beat-schedule")),
        ),
        environment=_environment(home),
    )


def web_answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        # In production mode this address may not be an allowed host; a 400 shows that the server runs, too.
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _environment(home: Home) -> dict[str, str]:
    return {"MESSENGER_HOME": str(home.folder), "PORT": str(home.web_port()), "PYTHONUNBUFFERED": "1"}
