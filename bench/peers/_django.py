"""A forum made with Django, served as the product is: granian, two workers, PostgreSQL, a cache in Valkey."""

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
    """Its site is in `_sites`: settings, addresses, and a program that fills it and prints what to ask for."""

    def filled_anew(self, home: Home, messages: int) -> str:
        variables = self._variables(home)
        self.environment.run(["-m", "django", "migrate", "--verbosity", "0"], variables)
        self.environment.run(["-m", "django", "collectstatic", "--no-input", "--verbosity", "0"], variables)
        return self.environment.run([str(SITES / f"{self.name}_fill.py"), str(messages)], variables)

    def started(self, home: Home, port: int) -> PeerProcess:
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
        """An answer in a second thread, as long at first: the one that is read keeps its length."""
        answers = self._answers
        form = {**json.loads(answers["form"]), "csrfmiddlewaretoken": answers["csrf_token"]}
        return Request(
            method="POST",
            path=answers["post"],
            headers={**self._cookies(), "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form, safe="@"),  # the mark that the script looks for
            lua=LUA / "posts.lua",
        )

    def topic_list(self) -> Request | None:
        return self._get("topics") if "topics" in self._answers else None

    @property
    def _answers(self) -> dict[str, str]:
        return json.loads(self.filled)

    def _get(self, what: str) -> Request:
        return Request(path=self._answers[what], headers=self._cookies())

    def _cookies(self) -> dict[str, str]:
        answers = self._answers
        return {"Cookie": f"sessionid={answers['session']}; csrftoken={answers['csrf_token']}"}

    def _variables(self, home: Home) -> dict[str, str]:
        return {
            **connection_environment(home, self.name),
            "DJANGO_SETTINGS_MODULE": f"{self.name}_settings",
            "PYTHONPATH": str(SITES),
            "SITE_FOLDER": str(self.environment.folder),
        }
