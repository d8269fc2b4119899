"""A forum made with Django, served as the product is: granian, two workers, PostgreSQL, a cache in Valkey."""

import json
from pathlib import Path
from urllib.parse import urlencode

from bench.targets import Request
from ippex_messenger.embedded.home import Home, free_port

from ._environment import HERE, Environment
from ._process import PeerProcess
from ._servers import SERVERS, SHARED, connection_environment, make_database

SITES = HERE / "_sites"
UNIQUE_BODY = HERE / "_unique_body.lua"


class DjangoPeer:
    """Its site is in `_sites`: settings, addresses, and a program that fills it and prints what to ask for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.environment = Environment(name)
        self._filled: dict[str, str] = {}
        self._process: PeerProcess | None = None

    def install(self) -> None:
        self.environment.install()

    def fill(self, messages: int) -> None:
        """A thread of that length becomes the one that is asked for."""
        # Beside the data: whoever throws the servers away throws this away too.
        record = SERVERS / f"{self.name}-{messages}.json"
        if not record.exists():
            home = SHARED.hold()
            try:
                answer = self._filled_anew(home, messages)
            finally:
                SHARED.release()
            record.write_text(answer)
        self._filled = json.loads(record.read_text())

    def start(self) -> str:
        home = SHARED.hold()
        port = free_port()
        command = [
            *(str(self.environment.python), "-m", "granian", "--interface", "wsgi", "--workers", "2"),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-ws"),
            *("--workers-kill-timeout", "2"),
            "site_wsgi:application",
        ]
        log = self.environment.folder / "web.log"
        self._process = PeerProcess(self.name, command, SITES, self._variables(home), log)
        try:
            self._process.wait_for(port, "/")
        except RuntimeError:
            SHARED.release()
            raise
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        if self._process:
            self._process.stop()
            self._process = None
            SHARED.release()

    def thread_page(self) -> Request:
        """The last page of the thread."""
        return self._get(self._filled["thread"])

    def post(self) -> Request:
        """An answer in a second thread, as long at first: the one that is read keeps its length."""
        token = self._filled["csrf_token"]
        form = {**json.loads(self._filled["form"]), "csrfmiddlewaretoken": token}
        return Request(
            method="POST",
            path=self._filled["post"],
            headers={**self._cookies(), "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form),
            lua=UNIQUE_BODY,
        )

    def topic_list(self) -> Request | None:
        return self._get(self._filled["topics"]) if "topics" in self._filled else None

    def pids(self) -> list[int]:
        return self._process.pids() if self._process else []

    def _get(self, path: str) -> Request:
        return Request(path=path, headers=self._cookies())

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": f"sessionid={self._filled['session']}; csrftoken={self._filled['csrf_token']}"}

    def _filled_anew(self, home: Home, messages: int) -> str:
        make_database(home, self.name)
        manage = ["-m", "django"]
        variables = self._variables(home)
        self.environment.run([*manage, "migrate", "--verbosity", "0"], variables)
        self.environment.run([*manage, "collectstatic", "--no-input", "--verbosity", "0"], variables)
        return self.environment.run([str(self._program()), str(messages)], variables)

    def _program(self) -> Path:
        return SITES / f"{self.name}_fill.py"

    def _variables(self, home: Home) -> dict[str, str]:
        return {
            **connection_environment(home, self.name),
            "DJANGO_SETTINGS_MODULE": f"{self.name}_settings",
            "PYTHONPATH": str(SITES),
            "SITE_FOLDER": str(self.environment.folder),
        }
