import os
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")


class PromptConnection(Connection):
    """Worker and beat look for a queue that is away every two seconds, however long it has been.

    Their own waits grow up to 30 seconds, and so long could a mail then wait after the queue's return.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        return super().ensure_connection(*args, **{"interval_step": 0, **options})


class PromptAMQP(AMQP):
    Connection = PromptConnection


app = Celery("ippex_messenger", amqp=PromptAMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
