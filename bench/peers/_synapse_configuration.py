"""Synapse's settings: PostgreSQL, no federation with other servers, no presence."""

import json
from pathlib import Path

from ippex_messenger.embedded.home import Home

SERVER_NAME = "bench.test"
NO_LIMIT = {"per_second": 1_000_000, "burst_count": 1_000_000}


def write_configuration(folder: Path, home: Home, port: int) -> Path:
    """Write the configuration and return its path, for `--config-path`.

    It does not contain the database's address and password: libpq reads them from the environment.
    """
    log = folder / "log.json"
    log.write_text(json.dumps(_log()))
    configuration = folder / "homeserver.json"  # JSON is YAML
    configuration.touch(mode=0o600)
    configuration.write_text(json.dumps(_settings(folder, home, port, log), indent=1))
    return configuration


def _settings(folder: Path, home: Home, port: int, log: Path) -> dict[str, object]:
    return {
        "server_name": SERVER_NAME,
        "report_stats": False,
        "pid_file": str(folder / "server.pid"),
        "signing_key_path": str(folder / "signing.key"),
        "media_store_path": str(folder / "media"),
        "log_config": str(log),
        "registration_shared_secret": home.secret_key,
        "macaroon_secret_key": home.secret_key,
        "form_secret": home.secret_key,
        "trusted_key_servers": [],
        "listeners": [
            {
                "port": port,
                "type": "http",
                "tls": False,
                "bind_addresses": ["127.0.0.1"],
                "resources": [{"names": ["client"], "compress": False}],
            }
        ],
        # Pool sizes as in Synapse's manual.
        "database": {"name": "psycopg2", "args": {"dbname": "synapse", "cp_min": 5, "cp_max": 10}},
        "presence": {"enabled": False},
        "enable_metrics": False,
        "url_preview_enabled": False,
        "rc_message": NO_LIMIT,
        "rc_registration": NO_LIMIT,
        "rc_login": {"address": NO_LIMIT, "account": NO_LIMIT, "failed_attempts": NO_LIMIT},
        "rc_joins": {"local": NO_LIMIT, "remote": NO_LIMIT},
        "rc_joins_per_room": NO_LIMIT,
        "rc_room_creation": NO_LIMIT,
        "rc_invites": {"per_room": NO_LIMIT, "per_user": NO_LIMIT, "per_issuer": NO_LIMIT},
    }


def _log() -> dict[str, object]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "root": {"level": "WARNING", "handlers": ["console"]},
    }
