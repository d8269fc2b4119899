"""An author who posts as the page's script does: a post without a response is sent again with the same client id."""

import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPException
from http.cookiejar import CookieJar
from uuid import UUID, uuid4

RESPONSE_SECONDS = 15
PAUSE_SECONDS = 0.2  # before a person would press "Send" again
PATIENCE_SECONDS = 60

CREATED = 201


@dataclass(frozen=True)
class Attempt:
    begun_at: float  # time.monotonic()
    begun_on: datetime  # the same moment, by the clock that dates messages
    seconds: float
    status: int  # 0: no response

    @property
    def succeeded(self) -> bool:
        return self.status == CREATED


@dataclass
class Sent:
    """A message that was acknowledged, with all attempts to post it."""

    topic: int
    body: str
    client_id: UUID = field(default_factory=uuid4)
    attempts: list[Attempt] = field(default_factory=list)


class Poster:
    def __init__(self, address: str, slug: str, email: str) -> None:
        self.address = address
        self.slug = slug
        self.email = email
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def sign_in(self, password: str) -> None:
        self._open("/accounts/login/")
        self._open("/accounts/login/", login=self.email, password=password)
        assert self._cookie("sessionid"), f"{self.email} could not sign in"

    def post(self, topic: int, body: str) -> Sent:
        """Post until the message is acknowledged, always with the same client id."""
        sent = Sent(topic, body)
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        while True:
            attempt = self._attempt(sent)
            sent.attempts.append(attempt)
            if attempt.succeeded:
                return sent
            assert attempt.status == 0 or attempt.status >= 500, f"answered {attempt.status}"
            assert time.monotonic() < give_up_at, f"not posted within {PATIENCE_SECONDS} seconds"
            time.sleep(PAUSE_SECONDS)

    def _attempt(self, sent: Sent) -> Attempt:
        begun_at, begun_on = time.monotonic(), datetime.now(tz=UTC)
        path = f"/{self.slug}/messenger/topics/{sent.topic}/messages/"
        try:
            status = self._open(path, body=sent.body, client_id=str(sent.client_id))
        except urllib.error.HTTPError as error:
            status = error.code
        except (OSError, HTTPException):
            status = 0
        return Attempt(begun_at, begun_on, time.monotonic() - begun_at, status)

    def _open(self, path: str, **fields: str) -> int:
        data = None
        if fields:
            fields["csrfmiddlewaretoken"] = self._cookie("csrftoken")
            data = urllib.parse.urlencode(fields).encode()
        headers = {"X-Requested-With": "fetch"} if "client_id" in fields else {}
        request = urllib.request.Request(self.address + path, data, headers)  # noqa: S310
        with self._opener.open(request, timeout=RESPONSE_SECONDS) as response:
            response.read()
            return int(response.status)

    def _cookie(self, name: str) -> str:
        return next((cookie.value or "" for cookie in self._cookies if cookie.name == name), "")
