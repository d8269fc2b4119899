"""The memory of a web worker: it does not load modules that it doesn't need."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.middleware.csrf import CSRF_SECRET_LENGTH

from ippex_messenger.celery import app
from ippex_messenger.embedded.home import CHECKOUT, Home
from tenancy.models import Member
from tests.project.test_architecture import PRODUCT, sources
from tests.support.cast import Cast, sign_in

# Answers requests in a new process as a WSGI server would. All other modules in it were loaded by the product.
SERVE = """
import gc, io, json, sys
from wsgiref.util import setup_testing_defaults
from ippex_messenger.wsgi import application

for method, path, body, status, text in json.loads(sys.argv[2]):
    sent = body.encode()
    environ = {
        "REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_COOKIE": sys.argv[1], "SERVER_NAME": "127.0.0.1",
        "CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": str(len(sent)),
        "wsgi.input": io.BytesIO(sent), "HTTP_X_REQUESTED_WITH": "fetch",
    }
    setup_testing_defaults(environ)
    statuses = []
    page = b"".join(application(environ, lambda status, headers: statuses.append(status))).decode()
    assert (statuses[0][:3], text in page) == (status, True), (path, statuses, page)
print(json.dumps([sorted(sys.modules), gc.get_freeze_count(), len(gc.get_objects())]))
"""
# Each is needed only by a few pages, or by none.
RARE = {
    "django_tables2",
    "django_filters",
    "allauth.account.views",
    "accounts.forms",
    "accounts.views",
    "messenger.notifications.monitoring.report",
    "messenger.search.engine",
    "messenger.groups.views",
    "messenger.notifications.monitoring.views",
    "messenger.messages.views",
    "messenger.messages.record_views",
    "tenancy.forms",
    "tenancy.views.settings",
    "tenancy.views.users",
}


@dataclass(frozen=True)
class Process:
    modules: set[str]
    frozen_objects: int  # exempt from garbage collection
    collected_objects: int  # that the garbage collector goes through


Request = tuple[str, str, str, str, str]  # method, path, body, status, a text in the response


@pytest.mark.django_db(transaction=True)
def test_threads_lists_and_posts_load_no_rarely_used_modules(cast: Cast) -> None:
    token = "t" * CSRF_SECRET_LENGTH
    thread, posted = thread_page(cast), f"csrfmiddlewaretoken={token}&client_id={uuid4()}&body=Paid+on+time"
    requests: list[Request] = [
        thread,
        ("GET", "/northwind/messenger/", "", "200", cast.payments.name),
        ("POST", f"{thread[1]}messages/", posted, "201", "Paid on time"),
        ("GET", f"{thread[1]}", "", "200", "Paid on time"),
    ]
    modules = process_after(cast, requests, f"csrftoken={token}").modules
    assert {"messenger.threads.views", "messenger.markup.markdown", "markdown_it", "allauth.account"} <= modules
    assert modules & RARE == set()


@pytest.mark.django_db(transaction=True)
def test_threads_and_lists_do_not_load_celery(cast: Cast) -> None:
    topics: Request = ("GET", "/northwind/messenger/", "", "200", cast.payments.name)
    modules = process_after(cast, [thread_page(cast), topics]).modules
    packages = {name.partition(".")[0] for name in modules}
    assert {"django", "messenger", "redis"} <= packages, "or the test proves nothing"
    assert not packages & {"celery", "kombu", "amqp", "billiard", "vine"}


@pytest.mark.django_db(transaction=True)
def test_a_rarely_used_page_loads_what_it_needs(cast: Cast) -> None:
    users: Request = ("GET", "/northwind/administration/users/", "", "200", cast.alice.name)
    Member.objects.filter(pk=cast.alice.pk).update(is_administrator=True)
    assert {"tenancy.views.users", "django_tables2", "django_filters"} <= process_after(cast, [users]).modules


@pytest.mark.django_db(transaction=True)
def test_loaded_code_is_exempt_from_garbage_collection(cast: Cast) -> None:
    process = process_after(cast, [thread_page(cast)])
    assert process.collected_objects < process.frozen_objects / 2


def thread_page(cast: Cast) -> Request:
    return "GET", f"/northwind/messenger/topics/{cast.payments.pk}/", "", "200", cast.payments.name


def process_after(cast: Cast, requests: list[Request], *cookies: str) -> Process:
    """The state of a new process after it has answered these requests of Alice's."""
    session = sign_in(cast.alice).cookies[settings.SESSION_COOKIE_NAME].value
    cookie = "; ".join([f"{settings.SESSION_COOKIE_NAME}={session}", *cookies])
    done = subprocess.run(
        [sys.executable, "-c", SERVE, cookie, json.dumps(requests)],
        cwd=CHECKOUT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "ippex_messenger.settings", **_test_database()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules, frozen_objects, collected_objects = json.loads(done.stdout)
    return Process(set(modules), frozen_objects, collected_objects)


def _test_database() -> dict[str, str]:
    server, _, _name = Home.current().database_url.rpartition("/")
    return {"DATABASE_URL": f"{server}/{connection.settings_dict['NAME']}", "DEBUG": "1"}


HINT = re.compile(r'\benqueue_on_commit\("([\w.]+)"')


def test_every_hint_names_an_existing_task() -> None:
    hinted = {name for file in sources(*(CHECKOUT / app for app in PRODUCT)) for name in HINT.findall(file.read_text())}
    assert "messenger.tasks.notify_members" in hinted, "or the test proves nothing"
    app.loader.import_default_modules()
    assert hinted <= app.tasks.keys()
