import logging
from typing import Any

from django.db import transaction
from django.utils.module_loading import import_string

from common.caching.circuit_breaker import redis_breaker

log = logging.getLogger(__name__)


def enqueue_on_commit(task: str, *args: Any) -> None:
    """Hint at waiting work, by the name of the task that does it, once the transaction is committed.

    Only a hint: the truth is in PostgreSQL and the sweeper finds what no hint reached, so a queue that
    is away neither fails nor delays a request.
    """

    def hint() -> None:
        if redis_breaker.is_open:
            return
        # Here, and the task by its name: Celery takes 7 MiB of a process, which one that hints at nothing does without.
        from kombu.exceptions import OperationalError

        app = import_string("ippex_messenger.celery.app")
        try:
            app.send_task(task, args, ignore_result=True)
        except (OperationalError, OSError) as error:
            redis_breaker.trip()
            log.warning("queue away (%s); the sweeper will find %s%s", type(error).__name__, task, args)

    transaction.on_commit(hint, robust=True)
