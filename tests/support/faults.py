"""Unavailable servers, and a mail server that stops accepting mails."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from common.caching.redis_client import redis
from ippex_messenger.celery import app
from tests.support.smtp import SmtpServer

CLOSED_PORT = ("127.0.0.1", 1)


@contextmanager
def mail_server_away(settings: Any) -> Iterator[None]:
    address = settings.EMAIL_HOST, settings.EMAIL_PORT
    settings.EMAIL_HOST, settings.EMAIL_PORT = CLOSED_PORT
    try:
        yield
    finally:
        settings.EMAIL_HOST, settings.EMAIL_PORT = address


@contextmanager
def redis_away(settings: Any) -> Iterator[None]:
    """Nothing answers at the address of Redis: neither the queue nor live announcements work."""
    with pytest.MonkeyPatch.context() as patch:
        settings.REDIS_URL = "redis://{}:{}/0".format(*CLOSED_PORT)
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
    """Django sends its mails to this server."""
    with server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address
        yield server


class LimitedServer(SmtpServer):
    """Accepts `limit` mails, then closes every connection until the limit is raised."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if len(self.envelopes) >= self.limit:
            return "421 Too many mails"
        return await super().handle_RCPT(server, session, envelope, address, options)
