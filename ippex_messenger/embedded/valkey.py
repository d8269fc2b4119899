"""The embedded Valkey: task queue, cache and live announcements."""

import signal

import redis

from .binaries import valkey_binary
from .home import Home
from .processes import Program


def valkey(home: Home, durable: bool = True) -> Program:
    folder = home.folder / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    configuration = home.folder / "valkey.conf"
    settings = [
        "bind 127.0.0.1",
        f"port {home.redis_port}",
        f"requirepass {home.redis_password}",
        f"appendonly {'yes' if durable else 'no'}",
        "appendfsync everysec",
        'save ""',  # the append-only file is enough
        "maxmemory-policy noeviction",
        "daemonize no",
        "loglevel warning",
        "set-proc-title no",  # so that the command line shows which stack it belongs to
    ]
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join(settings) + "\n")
    return Program(
        name="valkey",
        command=(str(valkey_binary()), str(configuration)),
        folder=folder,  # the data go into the current folder: its path needs no quoting in the configuration
        environment={"LC_ALL": "C"},
        stop_signal=signal.SIGTERM,
    )


def valkey_answers(home: Home) -> bool:
    try:
        with redis.Redis.from_url(home.redis_url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
