"""Peers made with Django, served like the product: granian with two workers, PostgreSQL, a cache in Valkey."""

import json
from urllib.parse import urlencode

from bench.load import LUA
from bench.targets import Request
from ippex_messenger.embedded.home import Home

from ._environment import SITES
from ._peer import Peer
from ._process import PeerProcess
from ._servers import connection_environment


class DjangoPeer(Peer):
    """A peer whose site is in `_sites`: settings, URLs, and a script that fills it and prints its paths."""

    def fill_database(self, home: Home, messages: int) -> str:
        variables = self._variables(home)
        self.environment.run(["-m", "django", "migrate", "--verbosity", "0"], variables)
        self.environment.run(["-m", "django", "collectstatic", "--no-input", "--verbosity", "0"], variables)
        return self.environment.run([str(SITES / f"{self.name}_fill.py"), str(messages)], variables)

    def start_server(self, home: Home, port: int) -> PeerProcess:
        command = [
            *(str(self.environment.python), "-m", "granian", "--interface", "wsgi", "--workers", "2"),
            *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning", "--no-ws"),
            *("--workers-kill-timeout", "2"),
            "site_wsgi:application",
        ]
        log = self.environment.folder / "web.log"
        process = PeerProcess(self.name, command, SITES, self._variables(home), log)
        process.wait_for(port, "/")
        return process

    def thread_page(self) -> Request:
        """The last page of the thread."""
        return self._get("thread")

    def post(self) -> Request:
        """A reply in a second thread of the same initial length, so that the first keeps its length."""
        paths = self._paths
        form = {**json.loads(paths["form"]), "csrfmiddlewaretoken": paths["csrf_token"]}
        return Request(
            method="POST",
            path=paths["post"],
            headers={**self._cookies(), "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form, safe="@"),  # posts.lua replaces @UUID@
            lua=LUA / "posts.lua",
        )

    def topic_list(self) -> Request | None:
        return self._get("topics") if "topics" in self._paths else None

    @property
    def _paths(self) -> dict[str, str]:
        """What the script printed: paths, the form of a post, and cookies."""
        return json.loads(self.fill_result)

    def _get(self, name: str) -> Request:
        return Request(path=self._paths[name], headers=self._cookies())

    def _cookies(self) -> dict[str, str]:
        return {"Cookie": f"sessionid={self._paths['session']}; csrftoken={self._paths['csrf_token']}"}

    def _variables(self, home: Home) -> dict[str, str]:
        return {
            **connection_environment(home, self.name),
            "DJANGO_SETTINGS_MODULE": f"{self.name}_settings",
            "PYTHONPATH": str(SITES),
            "SITE_FOLDER": str(self.environment.folder),
        }
