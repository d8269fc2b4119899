"""Paths of pages, and helpers to request and read them."""

import re
from uuid import uuid4

from django.test import Client

from messenger.models import Topic
from tests.support.cast import Cast
from tests.support.stage import Response

MENU = "/northwind/"
TOPICS = "/northwind/messenger/"
NEW_TOPIC = "/northwind/messenger/topics/new/"
FEATURES = "/northwind/administration/system/settings/features/"
USERS = "/northwind/administration/users/"
GROUPS = "/northwind/administration/user-groups/messenger-users/"
HEALTH = "/northwind/administration/system/e-mails/"
RESET = "/accounts/password/reset/"


def thread(topic: Topic) -> str:
    return f"{TOPICS}topics/{topic.pk}/"


def messages(topic: Topic) -> str:
    return f"{thread(topic)}messages/"


def text_of(response: Response) -> str:
    return response.content.decode()


def expand(path: str, cast: Cast) -> str:
    """Replace THREAD and GROUP by the paths of Northwind's payroll, and USER by Bob's."""
    path = path.replace("THREAD", thread(cast.payments)).replace("GROUP", f"{GROUPS}{cast.payroll.pk}/")
    return path.replace("USER", f"{USERS}{cast.bob.pk}/")


def sequences(response: Response) -> list[int]:
    return [int(number) for number in re.findall(r'data-sequence="(\d+)"', text_of(response))]


def send(client: Client, topic: Topic, body: str = "Hello", client_id: object = None, **headers: str) -> Response:
    form = {"body": body, "client_id": str(client_id or uuid4())}
    response: Response = client.post(messages(topic), form, headers=headers)
    return response


def errors_of(response: Response) -> set[str]:
    assert response.status_code == 422
    return set(response.context["form"].errors)
