"""Signed-in people and the requests that they send, for the data that fill.py wrote."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, resolve
from django.utils import timezone

from accounts.models import User
from accounts.sessions import UserSessionStore
from bench.fill import CROWD_SLUG, READER, SLUG
from bench.load import LUA, BenchError, send, single_request
from bench.shape import Shape
from bench.targets import Request
from messenger.models import Delivery, Message, Topic
from messenger.notifications.recipients import clear_audience_cache
from tenancy.models import Member

HOST = "127.0.0.1"
CREATED, REDIRECTS = 201, 300
HEALTH = "/healthz"
CSRF = "b" * 32  # used as secret and token: Django accepts an unmasked token
TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")
BODY = "Bank file for Germany: **412 payments**, EUR 1,308,442.17 in total.\n\nValue date is the 27th, please approve."


@dataclass(frozen=True)
class Person:
    member: Member
    session: str

    @property
    def headers(self) -> dict[str, str]:
        cookies = {settings.SESSION_COOKIE_NAME: self.session, settings.CSRF_COOKIE_NAME: CSRF}
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def sign_in(members: QuerySet[Member]) -> list[Person]:
    """Create sessions for the members, as signing in would."""
    people: list[Person] = []
    rows: list[Any] = []
    for member in members.select_related("user", "tenancy"):
        store = UserSessionStore()
        store.update(_session_of(member.user))
        store._session_key = store._get_new_session_key()  # type: ignore[attr-defined]
        rows.append(store.create_model_instance(store._session))  # type: ignore[attr-defined]
        people.append(Person(member, store.session_key or ""))
    UserSessionStore.get_model_class().objects.bulk_create(rows)  # type: ignore[arg-type]
    return people


def _session_of(user: User) -> dict[str, Any]:
    return {
        SESSION_KEY: str(user.pk),
        BACKEND_SESSION_KEY: settings.AUTHENTICATION_BACKENDS[0],
        HASH_SESSION_KEY: user.get_session_auth_hash(),
    }


class Scene:
    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        readers = Member.objects.filter(tenancy__slug=SLUG, user__email__startswith=READER).order_by("pk")
        self.readers = sign_in(readers)
        self.reader_of_most, self.reader_of_fewest = self.readers[-1], self.readers[0]  # by the number of topics
        first = list(Topic.objects.filter(tenancy__slug=SLUG).order_by("pk")[: len(shape.threads) + shape.posted])
        self.threads = dict(zip(shape.threads, first, strict=False))
        self.posted = first[len(shape.threads) :]
        crowd = Topic.objects.filter(tenancy__slug=CROWD_SLUG).order_by("pk")
        self.crowds = dict(zip(shape.crowds, crowd, strict=True))
        self.crowd_member = sign_in(Member.objects.filter(tenancy__slug=CROWD_SLUG).order_by("pk")[:1])[0]

    def thread(self, length: int, query: str = "", reader: Person | None = None) -> Request:
        return self.page_of(self.threads[length], reader or self.reader_of_most, query)

    def page_of(self, topic: Topic, reader: Person, query: str = "") -> Request:
        path = f"/{reader.member.tenancy.slug}/messenger/topics/{topic.pk}/{query}"
        return Request(path=path, headers=reader.headers)

    def topics(self, reader: Person) -> Request:
        return Request(path=f"/{SLUG}/messenger/", headers=reader.headers)

    def search(self, words: str) -> Request | None:
        path = f"/{SLUG}/messenger/search/"
        try:
            resolve(path)
        except Resolver404:
            return None
        return Request(path=f"{path}?{urlencode({'q': words})}", headers=self.reader_of_most.headers)

    def post(self, topics: Sequence[Topic], author: Person | None = None) -> Request:
        """Posts into these topics in turn."""
        author = author or self.reader_of_most
        return Request(
            method="POST",
            path=f"/{author.member.tenancy.slug}/messenger/topics/@TOPIC@/messages/",
            headers={
                **author.headers,
                "X-Requested-With": "fetch",
                "Content-Type": "application/x-www-form-urlencoded",
                "X-Topics": ",".join(str(topic.pk) for topic in topics),
            },
            body=urlencode({"body": BODY, "csrfmiddlewaretoken": CSRF}) + "&client_id=@UUID@",
            lua=LUA / "posts.lua",
        )

    def start_intervals(self, url: str) -> None:
        """Post a message into each topic that is measured later, so that later posts are within its interval."""
        for topic in (*self.posted, self.threads[max(self.threads)], *self.crowds.values()):
            author = self.crowd_member if topic in self.crowds.values() else self.reader_of_most
            response = send(url, single_request(self.post([topic], author)))
            if response.status != CREATED:
                raise BenchError(f"Posting into topic {topic.pk} returned {response.status}.")
        # Mark these messages as e-mailed: no worker runs beside the web server.
        Message.objects.filter(outcome=Message.Outcome.EMAIL, addressees=None).update(
            addressees=0, fanned_out_at=timezone.now()
        )

    @transaction.atomic
    def undo_posts(self) -> None:
        """Delete the messages of earlier runs, so that each thread has the length that it was filled with."""
        lengths = {
            **{topic.pk: length for length, topic in self.threads.items()},
            **{topic.pk: self.shape.posted_length for topic in self.posted},
            **{topic.pk: 1 for topic in self.crowds.values()},
        }
        for topic in Topic.objects.filter(pk__in=lengths):
            length = lengths[topic.pk]
            if topic.last_sequence == length:
                continue
            later = Message.objects.filter(topic=topic, sequence__gt=length)
            Delivery.objects.filter(message__in=later).delete()
            later.delete()
            last = Message.objects.get(topic=topic, sequence=length)
            topic.last_sequence, topic.last_activity_at = length, last.posted_at
            topic.save(update_fields=["last_sequence", "last_activity_at"])
            with connection.cursor() as cursor:
                cursor.execute(
                    "UPDATE messenger_readposition SET sequence = least(sequence, %s) WHERE topic_id = %s",
                    [length, topic.pk],
                )


def statements(request: Request) -> list[str]:
    """The SQL statements of one request that the product answers in this process, without BEGIN and COMMIT.

    Queries whose results are usually cached (the audience, the menu's badge) are counted too.
    """
    request = single_request(request)
    client = Client(headers={**request.headers, "Host": HOST})
    arguments: dict[str, Any] = {}
    if request.body is not None:
        arguments = {"data": request.body, "content_type": request.headers["Content-Type"]}
    client.get(HEALTH)  # what a process queries only once is not part of a request's cost
    clear_audience_cache()
    # Within a transaction the product bypasses its caches.
    uncached = transaction.atomic() if request.method == "GET" else nullcontext()
    with uncached, CaptureQueriesContext(connection) as captured:
        response: Any = client.generic(request.method, request.path, **arguments)
    if response.status_code >= REDIRECTS:
        raise BenchError(f"{request.path} returned {response.status_code}")
    return [row["sql"] for row in captured.captured_queries if not row["sql"].startswith(TRANSACTIONS)]
