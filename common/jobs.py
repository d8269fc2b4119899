import logging
from typing import Any

from django.db import transaction
from django.utils.module_loading import import_string

from common.caching.circuit_breaker import redis_breaker

log = logging.getLogger(__name__)


def enqueue_on_commit(task: str, *args: Any) -> None:
    """Enqueue a task by its name once the transaction is committed.

    Only a hint that work is due (docs/decisions/0006-hints-on-the-queue-truth-in-the-database.md): PostgreSQL holds the
    work, and the sweeper finds what the queue missed. So an unavailable queue neither fails nor delays a request.
    """

    def enqueue() -> None:
        if redis_breaker.is_open:
            return
        # Imported here, with the task passed by name: Celery takes 7 MiB, which a process that enqueues nothing saves.
        from kombu.exceptions import OperationalError

        app = import_string("ippex_messenger.celery.app")
        try:
            app.send_task(task, args, ignore_result=True)
        except (OperationalError, OSError) as error:
            redis_breaker.trip()
            log.warning("queue unavailable (%s); the sweeper will find %s%s", type(error).__name__, task, args)

    transaction.on_commit(enqueue, robust=True)
