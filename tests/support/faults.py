"""Things that are away, and mail servers with bad habits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from common.caching.redis_client import redis
from ippex_messenger.celery import app
from tests.support.smtp import SmtpServer

NOBODY_LISTENS = ("127.0.0.1", 1)


@contextmanager
def mail_server_away(settings: Any) -> Iterator[None]:
    address = settings.EMAIL_HOST, settings.EMAIL_PORT
    settings.EMAIL_HOST, settings.EMAIL_PORT = NOBODY_LISTENS
    try:
        yield
    finally:
        settings.EMAIL_HOST, settings.EMAIL_PORT = address


@contextmanager
def redis_away(settings: Any) -> Iterator[None]:
    """Nothing answers at the address of the queue and of the live announcements."""
    with pytest.MonkeyPatch.context() as patch:
        settings.REDIS_URL = "redis://{}:{}/0".format(*NOBODY_LISTENS)
        patch.setitem(app.conf, "broker_url", settings.REDIS_URL)
        patch.setattr(app, "_pool", None)
        patch.setattr(app.amqp, "_producer_pool", None)
        redis.cache_clear()
        try:
            yield
        finally:
            redis.cache_clear()


ServerType = TypeVar("ServerType", bound=SmtpServer)


@contextmanager
def mailing_to(server: ServerType, settings: Any) -> Iterator[ServerType]:
    """What Django sends goes to this server."""
    with server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address
        yield server


class TiredServer(SmtpServer):
    """Takes so many mails, then closes every connection until it is woken."""

    def __init__(self, takes: int) -> None:
        super().__init__()
        self.takes = takes

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if len(self.envelopes) >= self.takes:
            return "421 Too tired"
        return await super().handle_RCPT(server, session, envelope, address, options)
