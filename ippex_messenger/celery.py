import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")

app = Celery("ippex_messenger")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
