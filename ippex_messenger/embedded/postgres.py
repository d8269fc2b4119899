"""The embedded PostgreSQL: its data folder is created once, the server runs in the foreground."""

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
from .errors import StartupError
from .home import Home
from .processes import Program, command_line, spawn

# Collation and case mapping are PostgreSQL's own, the same on every system. Text search asks the system which
# characters are letters: with "C", every dash and quotation mark beyond ASCII would be one.
LOCALE = [
    *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    "--lc-ctype=UTF-8" if sys.platform == "darwin" else "--lc-ctype=C.UTF-8",
]
ENVIRONMENT = {"LC_ALL": "C"}  # the terminal's locale may not be installed
NOT_DURABLE = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
SHUTDOWN_SECONDS = 10  # for an earlier server to leave the data folder


def postgres(home: Home, durable: bool = True) -> Program:
    """The PostgreSQL server on `home`'s port. Creates its data folder if there is none.

    With `durable=False` it is faster, and a crash may lose data: for tests. Raises StartupError.
    """
    data = home.folder / "postgres"
    server = str(postgres_binary("postgres"))
    account = unprivileged_account(Path(server), data)
    if not data.exists():
        _create_data(home, data, account)
    settings = [
        f"port={home.postgres_port}",
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",  # none: in a deep folder, the path of a socket would be too long
        # Log neither statements nor DETAIL lines with their values: what people write doesn't belong in a log.
        "log_min_error_statement=panic",
        "log_error_verbosity=terse",
        *([] if durable else NOT_DURABLE),
    ]
    return Program(
        name="postgres",
        command=(server, "-D", str(data), *(f"--{setting}" for setting in settings)),
        folder=data,
        environment=ENVIRONMENT,
        stop_signal=signal.SIGINT,  # a "fast" shutdown: SIGTERM would wait for every client to disconnect
        account=account,
        before_start=lambda: _release_data(data),
    )


def postgres_answers(home: Home) -> bool:
    try:
        psycopg2.connect(home.database_url, connect_timeout=2).close()
    except psycopg2.OperationalError:
        return False
    return True


def _create_data(home: Home, data: Path, account: Account | None) -> None:
    # Created under another name and renamed when complete: if interrupted, it is created again.
    new = home.folder / "postgres.new"
    password = home.folder / "postgres.password"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    password.unlink(missing_ok=True)
    password.touch(mode=0o600)
    password.write_text(home.postgres_password)
    if account:
        os.chown(new, account.uid, account.gid)
        os.chown(password, account.uid, account.gid)
    try:
        _run(
            account,
            new,
            [
                *(str(postgres_binary("initdb")), "-D", str(new), "--username=messenger", *LOCALE),
                *("--auth=scram-sha-256", f"--pwfile={password}", "--no-sync", "--no-instructions"),
            ],
        )
        _run(
            account,
            new,
            [str(postgres_binary("postgres")), "--single", "-D", str(new), "postgres"],
            "CREATE DATABASE messenger;\n",
        )
    finally:
        password.unlink()
    new.rename(data)


def _run(account: Account | None, folder: Path, command: list[str], text: str = "") -> None:
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
        raise StartupError(f"PostgreSQL's data folder could not be created:\n{reason}")


def _release_data(data: Path) -> None:
    """Wait until an earlier PostgreSQL has left the data folder, and make sure that its lock file blocks no start."""
    lock_file = data / "postmaster.pid"
    deadline = time.monotonic() + SHUTDOWN_SECONDS
    while lock_file.exists():
        first, _, rest = lock_file.read_text().partition("\n")
        pid = int(first) if first.isdigit() else 0
        if pid and str(data) in command_line(pid):
            if time.monotonic() > deadline:
                raise StartupError(f"Another PostgreSQL (process {pid}) uses the folder {data}; stop it first.")
            time.sleep(0.05)
            continue
        # A zombie still counts as alive for PostgreSQL, so its id would block the start. PostgreSQL's own parent never
        # does: with our id in the file, PostgreSQL goes on to its second check, whether a child of the earlier server
        # still uses the shared memory. Removing the file would skip that check.
        lock_file.write_text(f"{os.getpid()}\n{rest}")
        return
