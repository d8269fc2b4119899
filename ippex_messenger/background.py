from typing import Any

from celery import Task
from django.db import transaction


def after_commit(task: "Task[Any, Any]", *args: Any) -> None:
    """Hint at waiting work once the transaction is committed.

    Only a hint: the truth is in PostgreSQL and the sweeper finds what no hint reached, so a queue that
    is away fails nobody's request.
    """

    def hint() -> None:  # a real function: Django's robust path needs a __qualname__
        task.delay(*args)

    transaction.on_commit(hint, robust=True)
