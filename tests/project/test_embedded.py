"""The embedded servers and their supervisor, with real processes in a temporary folder."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
import redis

from ippex_messenger.embedded import application
from ippex_messenger.embedded.account import unprivileged_account
from ippex_messenger.embedded.binaries import postgres_binary
from ippex_messenger.embedded.errors import StartupError
from ippex_messenger.embedded.home import CHECKOUT, Home, free_port
from ippex_messenger.embedded.postgres import postgres_answers
from ippex_messenger.embedded.processes import LINUX, command_line
from ippex_messenger.embedded.servers import servers
from ippex_messenger.embedded.valkey import valkey_answers

REPLACING = ("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "MAKELEVEL", "PORT")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for variable in REPLACING:
        monkeypatch.delenv(variable, raising=False)
    return Home.at(tmp_path / "a home")  # real paths may contain spaces


@pytest.fixture
def supervisor(home: Home) -> Iterator[subprocess.Popen[str]]:
    process = supervise(home)
    yield process
    process.terminate()
    process.communicate(timeout=15)


def supervise(home: Home) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ippex_messenger.embedded", "servers"],
        cwd=CHECKOUT,
        env={**os.environ, "MESSENGER_HOME": str(home.folder)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert "are running" in process.stdout.readline()
    return process


def test_addresses_are_chosen_once(home: Home) -> None:
    assert Home.at(home.folder) == home
    assert (home.folder / "home.json").stat().st_mode & 0o077 == 0, "it contains passwords"


def test_an_occupied_port_is_replaced_and_the_others_stay(home: Home) -> None:
    with socket.create_server(("127.0.0.1", home.redis_port)):
        moved = home.with_free_ports()
    assert moved.redis_port != home.redis_port
    assert (moved.postgres_port, moved.postgres_password) == (home.postgres_port, home.postgres_password)
    assert Home.at(home.folder) == moved


def test_both_servers_run_inside_the_block_and_stop_after_it(home: Home) -> None:
    with servers(home, durable=False):
        assert postgres_answers(home)
        assert valkey_answers(home)
        running = processes_of(home)
        assert len(running) >= 2, "both run, or the test proves nothing"
    assert processes_of(home) == []


def test_a_server_that_a_variable_replaces_is_not_started(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://somebody@elsewhere.example/database")
    with servers(home, durable=False):
        assert valkey_answers(home)
        assert not (home.folder / "postgres").exists()


def test_only_one_stack_at_a_time_can_use_a_folder(home: Home, supervisor: subprocess.Popen[str]) -> None:
    with pytest.raises(StartupError, match="already uses"), servers(home):
        pass


def test_text_search_recognises_punctuation_beyond_ascii(home: Home) -> None:
    with servers(home, durable=False):
        assert query(home, "SELECT to_tsvector('simple', '„Naïve“—ÉTÉ')::text") == "'naïve':1 'été':2"


def test_data_survive_when_the_servers_are_killed(home: Home) -> None:
    with servers(home):
        query(home, "CREATE TABLE survivor AS SELECT 42 AS answer")
        with redis.Redis.from_url(home.redis_url) as client:
            client.set("answer", 42)
        time.sleep(1.1)  # Valkey writes its log to the disk every second
        for pid in processes_of(home):
            os.kill(pid, signal.SIGKILL)
    with servers(home):
        assert query(home, "SELECT answer FROM survivor") == 42
        with redis.Redis.from_url(home.redis_url) as client:
            assert client.get("answer") == b"42"


@pytest.mark.parametrize(("name", "answers"), [("postgres", postgres_answers), ("valkey", valkey_answers)])
def test_a_killed_program_is_restarted(
    home: Home, supervisor: subprocess.Popen[str], name: str, answers: Callable[[Home], bool]
) -> None:
    for _ in range(2):
        killed = next(pid for pid in processes_of(home) if f"/{name}" in command_line(pid))
        os.kill(killed, signal.SIGKILL)
        # It takes two seconds on an idle machine, but this one may be busy.
        assert within(15, lambda killed=killed: not command_line(killed) and answers(home))  # type: ignore[misc]


def test_sigint_stops_everything_with_exit_code_zero(home: Home) -> None:
    process = supervise(home)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == 0
    assert processes_of(home) == []


def test_a_killed_supervisor_leaves_nothing_running_and_no_data_are_lost(home: Home) -> None:
    process = supervise(home)
    query(home, "CREATE TABLE survivor AS SELECT 42 AS answer")
    process.kill()
    process.communicate()
    if LINUX:  # on other systems the next start stops what is left
        assert within(3, lambda: processes_of(home) == [])
    with servers(home):
        assert query(home, "SELECT answer FROM survivor") == 42


def test_servers_can_start_right_after_a_supervisor_was_killed(home: Home) -> None:
    process = supervise(home)
    process.kill()
    process.communicate()
    with servers(home) as successor:
        assert successor == home, "on the same ports"
        assert postgres_answers(home)
        assert valkey_answers(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
def test_servers_run_in_a_folder_that_only_root_may_enter(home: Home, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    account = unprivileged_account(postgres_binary("postgres"), home.folder / "postgres")
    assert account
    assert account.prefix, "the account could not enter the folder without a capability"
    with servers(home, durable=False):
        assert postgres_answers(home)
        assert tmp_path.stat().st_mode & 0o777 == 0o700


STREAMS = 1_200  # the web server's default limit is 1,024


def test_a_web_process_serves_more_than_a_thousand_open_streams(home: Home) -> None:
    port = free_port()
    program = application.web(home, port)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(3 * STREAMS, hard), hard))
    server = subprocess.Popen([*program.command[:-1], "bench.floors.hub:application"], cwd=CHECKOUT)
    try:
        assert within(10, lambda: is_open(port))
        with ExitStack() as streams:
            for number in range(STREAMS):
                stream = streams.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
                stream.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert b" 200 " in stream.recv(100), f"stream {number}"
    finally:
        server.terminate()
        server.wait(10)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_open(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def processes_of(home: Home) -> list[int]:
    """The process ids of the programs whose command lines contain the folder of `home`."""
    return [pid for pid in every_process() if str(home.folder) in command_line(pid)]


def every_process() -> list[int]:
    if LINUX:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    listing = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listing.stdout.split()]


def query(home: Home, statement: str) -> object:
    """Run one statement; returns the first value of its first row."""
    connection = psycopg2.connect(home.database_url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return row and row[0]
    finally:
        connection.close()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
