"""The embedded PostgreSQL: made once, started in the foreground."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg2

from .account import Account, unprivileged_account
from .binaries import postgres_binary
from .errors import Refused
from .home import Home
from .processes import Program, command_line, spawn

# Collation and case come from PostgreSQL itself, the same everywhere. What is a letter for the text
# search comes from the system: "C" would take every dash and quotation mark beyond ASCII for one.
LOCALE = [
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    "--lc-ctype=UTF-8" if sys.platform == "darwin" else "--lc-ctype=C.UTF-8",
]
ENVIRONMENT = {"LC_ALL": "C"}  # a locale that the terminal names may not be installed
NOT_DURABLE = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
SHUTDOWN_SECONDS = 10


def postgres(home: Home, durable: bool = True) -> Program:
    """PostgreSQL on `home`'s port; makes its data folder if there is none."""
    data = home.folder / "postgres"
    server = str(postgres_binary("postgres"))
    account = unprivileged_account(Path(server), data)
    if not data.exists():
        _make_data(home, data, account)
    settings = [
        f"port={home.postgres_port}",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",  # the path of a socket in a deep folder is too long
        # A log is no place for what people write: neither statements nor the values in DETAIL lines.
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
        *([] if durable else NOT_DURABLE),
    ]
    return Program(
        name="postgres",
        command=(server, "-D", str(data), *(f"--{setting}" for setting in settings)),
        folder=data,
        environment=ENVIRONMENT,
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for every client to leave
        account=account,
        before_start=lambda: _release_data(data),
    )


def postgres_answers(home: Home) -> bool:
    try:
        psycopg2.connect(home.database_url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def _make_data(home: Home, data: Path, account: Account | None) -> None:
    # Made beside its place and moved there when complete: what is interrupted is made anew.
    draft = home.folder / "postgres.new"
    password = home.folder / "postgres.password"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(home.postgres_password)
    if account:
        os.chown(draft, account.uid, account.gid)
        os.chown(password, account.uid, account.gid)
    try:
        _do(
            account,
            draft,
            [
                *(str(postgres_binary("initdb")), "-D", str(draft), "--username=messenger", *LOCALE),
                *("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--no-instructions"),
            ],
        )
        _do(
            account,
            draft,
            [str(postgres_binary("postgres")), "--single", "-D", str(draft), "postgres"],
            "CREATE DATABASE messenger;\n",
        )
    finally:
        password.unlink()
    draft.rename(data)


def _do(account: Account | None, folder: Path, command: list[str], text: str = "") -> None:
    program = Program(
        name=Path(command[0]).name,
        command=tuple(command),
        folder=folder,
        environment=ENVIRONMENT,
        account=account,
    )
    process = spawn(program, subprocess.PIPE, subprocess.STDOUT, stdin=subprocess.PIPE)
    output, _ = process.communicate(text.encode())
    if process.returncode:
        reason = output.decode(errors="replace").strip()
        raise Refused(f"PostgreSQL's data folder could not be made:\n{reason}")


def _release_data(data: Path) -> None:
    """Wait for a PostgreSQL of before to leave the data folder, and see that its mark there blocks nobody."""
    mark = data / "postmaster.pid"
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while mark.exists():
        first, _, rest = mark.read_text().partition("\n")
        pid = int(first) if first.isdigit() else 0
        if pid and str(data) in command_line(pid):
            if time.monotonic() > deadline:
                raise Refused(f"Another PostgreSQL (process {pid}) has the folder {data}; stop it first.")
            time.sleep(0.05)
            continue
        # A dead process that nobody buries still counts as alive for PostgreSQL, but its own parent
        # never does: in that name it goes on to its second check, whether any child of before still
        # uses the shared memory. Removing the mark would skip that check.
        mark.write_text(f"{os.getpid()}\n{rest}")
        return
