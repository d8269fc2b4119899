import logging
from typing import Any

from celery import Task
from django.db import transaction
from kombu.exceptions import OperationalError

from ippex_messenger.breaker import redis_breaker

log = logging.getLogger(__name__)


def after_commit(task: "Task[Any, Any]", *args: Any) -> None:
    """Hint at waiting work once the transaction is committed.

    Only a hint: the truth is in PostgreSQL and the sweeper finds what no hint reached, so a queue that
    is away neither fails nor delays a request.
    """

    def hint() -> None:
        if redis_breaker.is_open:
            return
        try:
            task.delay(*args)
        except (OperationalError, OSError) as error:
            redis_breaker.trip()
            log.warning("queue away (%s); the sweeper will find %s%s", type(error).__name__, task.name, args)

    transaction.on_commit(hint, robust=True)
