"""`make run`, from locking the folder to stopping the last process."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from . import application
from .claim import claimed
from .errors import StartupError
from .home import Home, is_free
from .mailcatcher import mailcatcher
from .processes import spawn
from .servers import is_embedded, start_servers, stop_servers, wait_for_servers
from .supervisor import StopRequested, Supervisor, display

WEB_SECONDS = 30  # until a slow start is reported


def run() -> None:
    """Run the whole stack until SIGINT or SIGTERM. Raises StartupError."""
    port = _requested_port()
    with _supervised() as supervisor:
        home = supervisor.home
        if port in home.ports.values() or not is_free(port):
            raise StartupError(f"Port {port} is taken; choose another one: PORT={port + 1} make run")
        home.web_port_record.write_text(str(port))
        _set_production_defaults(home)
        preparation = _start_preparation(supervisor)
        start_servers(supervisor)
        if is_embedded("EMAIL_URL"):
            supervisor.start(mailcatcher(home))
        wait_for_servers(supervisor)
        accounts = _prepare(supervisor, preparation)
        supervisor.start(application.web(home, port))
        _wait_for_web(supervisor, port)
        supervisor.start(application.worker(home))
        supervisor.start(application.beat(home))
        say(_banner(home, port, accounts))
        supervisor.run_until(lambda: False)


def _set_production_defaults(home: Home) -> None:
    """With a DATABASE_URL the application requires a secret key and allowed hosts. Here it serves only this machine."""
    os.environ.setdefault("SECRET_KEY", home.secret_key)
    os.environ.setdefault("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")


def run_servers() -> None:
    """Run only PostgreSQL and Valkey, until SIGINT or SIGTERM; the rest can be started by hand."""
    with _supervised() as supervisor:
        start_servers(supervisor)
        wait_for_servers(supervisor)
        say(f"PostgreSQL and Valkey are running; logs are in {display(supervisor.home.folder / 'log')}.")
        supervisor.run_until(lambda: False)


def say(text: str) -> None:
    with suppress(OSError):  # the terminal may be closed; everything still has to stop cleanly
        print(text, flush=True)


@contextmanager
def _supervised() -> Iterator[Supervisor]:
    with claimed(Home.current()) as home:
        supervisor = Supervisor(home, say)
        supervisor.stop_on_signals()
        try:
            yield supervisor
        except StopRequested:
            say("\nStopping.")
        finally:
            supervisor.stop("web", "beat", "worker")
            supervisor.stop("mailcatcher")
            stop_servers(supervisor)


def _requested_port() -> int:
    text = os.environ.get("PORT") or "8000"
    if not (text.isdecimal() and 0 < int(text) < 65536):
        raise StartupError(f"PORT is {text!r}, but a port is a number from 1 to 65535: PORT=8001 make run")
    return int(text)


def _start_preparation(supervisor: Supervisor) -> subprocess.Popen[bytes]:
    program = application.preparation(supervisor.home, demo=is_embedded("DATABASE_URL"))
    with open(supervisor.log_of(program), "wb") as log:
        return spawn(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)


def _prepare(supervisor: Supervisor, preparation: subprocess.Popen[bytes]) -> str:
    """Let `preparation` migrate and fill the database. Returns the output of `manage.py demo`, the demo accounts."""
    assert preparation.stdin is not None  # noqa: S101  (for the type checker: both are pipes)
    assert preparation.stdout is not None  # noqa: S101
    with suppress(BrokenPipeError):
        preparation.stdin.write(b"\n")
        preparation.stdin.close()
    supervisor.run_until(lambda: preparation.poll() is not None)
    if preparation.returncode:
        log = supervisor.home.folder / "log" / "prepare.log"
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip() == line != ""]
        reason = lines[-1] if lines else f"exit {preparation.returncode}"
        raise StartupError(f"The database could not be prepared; {display(log)} ends with: {reason}")
    return preparation.stdout.read().decode().strip()


def _wait_for_web(supervisor: Supervisor, port: int) -> None:
    while not supervisor.run_until(lambda: application.web_answers(port), WEB_SECONDS):
        log = supervisor.log_of(supervisor.running["web"].program)
        say(f"The web server does not answer yet; see {display(log)}")


def _banner(home: Home, port: int, accounts: str) -> str:
    lines = [f"\nIPPEX Cloud Messenger runs at http://127.0.0.1:{port}/"]
    if is_embedded("EMAIL_URL"):
        lines.append(f"The mails it sends are at {home.mailbox_url}")
    if accounts:
        lines.append(f"\n{accounts}\n")
    folder = display(home.folder)
    lines.append(f"Logs are in {folder}/log. Ctrl-C stops everything; the data stay in {folder}/.")
    return "\n".join(lines)
