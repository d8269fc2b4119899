"""PostgreSQL and Valkey for the peers: the product's embedded servers in another folder, shared by all peers."""

from contextlib import ExitStack

import psycopg2
from psycopg2 import sql

from ippex_messenger.embedded.claim import claimed
from ippex_messenger.embedded.home import CHECKOUT, Home
from ippex_messenger.embedded.postgres import postgres
from ippex_messenger.embedded.servers import stop_servers, wait_for_servers
from ippex_messenger.embedded.supervisor import Supervisor
from ippex_messenger.embedded.valkey import valkey

PEERS = CHECKOUT / "var" / "bench" / "peers"
SERVERS = PEERS / "servers"


class Servers:
    """The servers run from the first `acquire` to the last `release`."""

    def __init__(self) -> None:
        self._users = 0
        self._running = ExitStack()
        self._home: Home | None = None

    def acquire(self) -> Home:
        if not self._home:
            with ExitStack() as starting:
                home = starting.enter_context(claimed(Home.at(SERVERS)))
                supervisor = Supervisor(home, say=print)
                starting.callback(stop_servers, supervisor)
                supervisor.start(valkey(home))
                supervisor.start(postgres(home))
                wait_for_servers(supervisor)
                self._running = starting.pop_all()
            self._home = home
        self._users += 1
        return self._home

    def release(self) -> None:
        self._users -= 1
        if not self._users:
            self._running.close()
            self._home = None


SHARED = Servers()


def make_database(home: Home, name: str, options: str = "") -> None:
    """Create the database `name`, unless it exists."""
    connection = psycopg2.connect(home.database_url)
    connection.autocommit = True  # CREATE DATABASE can't run in a transaction
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
        if not cursor.rowcount:
            cursor.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), sql.SQL(options)))
    connection.close()


def connection_environment(home: Home, database: str) -> dict[str, str]:
    """The environment variables that libpq and the sites of the peers read."""
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(home.postgres_port),
        "PGUSER": "messenger",
        "PGPASSWORD": home.postgres_password,
        "PGDATABASE": database,
        "REDIS_URL": home.redis_url,
        "SECRET_KEY": home.secret_key,
    }
