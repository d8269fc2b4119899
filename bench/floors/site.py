"""A bare Django without middleware or templates: a constant page (floor A), and an insert and an update (floor P)."""

import os

import django
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

from bench.floors import TOPICS
from ippex_messenger.embedded.home import Home

if not settings.configured:
    import environ

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        SECRET_KEY=os.environ.get("SECRET_KEY", "of-a-page-without-secrets"),
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        DATABASES={
            "default": {**environ.Env.db_url_config(Home.current().database_url), "CONN_MAX_AGE": 600},
        },
        USE_TZ=True,
    )
    django.setup()

from django.core.wsgi import get_wsgi_application
from django.db import connection, models, transaction
from django.db.models import F

PAGE = (b"<!DOCTYPE html><title>Page</title><p>" + b"All five countries were paid on time. " * 600)[:20_000]


class FloorTopic(models.Model):
    last_sequence = models.BigIntegerField(default=0)

    class Meta:
        app_label = "bench"


class FloorMessage(models.Model):
    topic_id = models.BigIntegerField(db_index=True)
    body = models.TextField()
    posted_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "bench"


def constant(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


def write(request: HttpRequest) -> HttpResponse:
    topic = int(request.POST["topic"])
    with transaction.atomic():
        FloorMessage._default_manager.create(topic_id=topic, body=request.POST["body"])
        FloorTopic._default_manager.filter(pk=topic).update(last_sequence=F("last_sequence") + 1)
    return HttpResponse(b"written", status=201)


urlpatterns = [path("", constant), path("write/", write)]
application = get_wsgi_application()


def make_tables() -> None:
    """Recreate the tables, so that every run starts from the same state."""
    with connection.cursor() as cursor:
        for model in (FloorTopic, FloorMessage):
            cursor.execute(f"DROP TABLE IF EXISTS {model._meta.db_table}")
    with connection.schema_editor() as editor:
        editor.create_model(FloorTopic)
        editor.create_model(FloorMessage)
    FloorTopic._default_manager.bulk_create([FloorTopic(pk=number) for number in range(1, TOPICS + 1)])


if __name__ == "__main__":
    make_tables()
