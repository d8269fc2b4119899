import os
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")


class PromptConnection(Connection):
    """Makes the worker and beat retry an unavailable queue every two seconds, however long the outage lasts.

    By default their waits grow to 30 seconds, and mail could wait that long after the queue is back.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        return super().ensure_connection(*args, **{"interval_step": 0, **options})


class PromptAMQP(AMQP):
    Connection = PromptConnection


app = Celery("ippex_messenger", amqp=PromptAMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
