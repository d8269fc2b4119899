"""What a process of the pages takes: it does not load what it has no use for."""

import json
import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from ippex_messenger.celery import app
from ippex_messenger.embedded.home import CHECKOUT, Home
from tests.cast import Cast, sign_in
from tests.test_architecture import APPS, sources

# The server's way to ask, in a process of its own; what else there is in it was loaded by the product.
SERVE = """
import gc, json, sys
from wsgiref.util import setup_testing_defaults
from ippex_messenger.wsgi import application

environ = {"PATH_INFO": sys.argv[1], "HTTP_COOKIE": sys.argv[2], "SERVER_NAME": "127.0.0.1"}
setup_testing_defaults(environ)
statuses = []
page = b"".join(application(environ, lambda status, headers: statuses.append(status)))
assert statuses == ["200 OK"], (statuses, page)
assert sys.argv[3] in page.decode(), page
print(json.dumps([sorted(sys.modules), gc.get_freeze_count(), len(gc.get_objects())]))
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_that_shows_threads_and_posts_nothing_does_without_celery(cast: Cast) -> None:
    modules, _, _ = after_a_thread_page(cast)
    packages = {name.partition(".")[0] for name in modules}
    assert {"django", "messenger", "redis"} <= packages, "or the test proves nothing"
    assert not packages & {"celery", "kombu", "amqp", "billiard", "vine"}


@pytest.mark.django_db(transaction=True)
def test_the_garbage_collector_does_not_look_through_what_stays_for_good(cast: Cast) -> None:
    _, for_good, looked_through = after_a_thread_page(cast)
    assert looked_through < for_good / 2


def after_a_thread_page(cast: Cast) -> tuple[list[str], int, int]:
    """What a fresh process has loaded that answered one; how many objects the collector passes over, and sees."""
    client = sign_in(cast.alice)
    path = f"/{cast.alice.tenancy.slug}/messenger/topics/{cast.payments.pk}/"
    cookie = f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}"
    done = subprocess.run(
        [sys.executable, "-c", SERVE, path, cookie, cast.payments.name],
        cwd=CHECKOUT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "ippex_messenger.settings", **_this_database()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules, for_good, looked_through = json.loads(done.stdout)
    return modules, for_good, looked_through


def _this_database() -> dict[str, str]:
    server, _, _name = Home.current().database_url.rpartition("/")
    return {"DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}", "DEBUG": "1"}


HINT = re.compile(r'\bafter_commit\("([\w.]+)"')


def test_every_task_that_is_hinted_at_by_name_is_one() -> None:
    hinted = {name for file in sources(*(CHECKOUT / app for app in APPS)) for name in HINT.findall(file.read_text())}
    assert "messenger.tasks.notify_members" in hinted, "or the test proves nothing"
    app.loader.import_default_modules()
    assert hinted <= app.tasks.keys()
