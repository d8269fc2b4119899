"""Nobody finds what they may not read: by its words, by filters, or by differences in the answers."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import Message, MessengerGroup
from tenancy.models import Member
from tests.support.search_page import has_hits, wrong_fields_in
from tests.support.stage import CANARIES, NOBODYS_ID, ROLES, Response, Stage, undone

pytestmark = pytest.mark.django_db

PATH = "/northwind/messenger/search/"
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def ask(client: Client, words: str, **fields: Any) -> Response:
    return client.get(PATH, {"q": words, **fields})


def likeness(response: Response, typed: str = "") -> tuple[int, str]:
    """An answer without the token of its form, and without what was typed into it."""
    text = re.sub('(name="csrfmiddlewaretoken" value=")[^"]*', "", response.content.decode())
    return response.status_code, text.replace(typed, "TYPED") if typed else text


@pytest.mark.parametrize("role", ROLES)
def test_nobody_finds_what_they_may_not_read(stage: Stage, role: str) -> None:
    words = [word for word in CANARIES if word.endswith("-message")]
    assert len(words) == 5, "or the test proves nothing"
    for slug in ("northwind", "aurora"):
        for word in words:
            with undone():
                response = stage.client(role).get(stage.path("messenger:search", slug=slug), {"q": word})
            shown = has_hits(response.content.decode())
            at_home = (role == "erin") == (slug == "aurora")
            assert shown is (role in CANARIES[word] and at_home), (slug, word)
            text = response.content.decode()
            assert not [one for one in CANARIES if one != word and one in text and role not in CANARIES[one]]


def test_a_word_that_stands_only_where_one_does_not_read_is_as_if_it_stood_nowhere(stage: Stage) -> None:
    client = stage.client("bob")
    unknown = likeness(ask(client, "canary-nowhere-message"), "canary-nowhere-message")
    for word in (
        "canary-benefits-message",
        "canary-aurora-message",
        "canary-inactive-message",
        "canary-closed-message",
    ):
        assert Message.objects.filter(body=word).exists(), "or the test proves nothing"
        assert likeness(ask(client, word), word) == unknown, word
    assert has_hits(ask(client, "canary-payroll-message").content.decode()), "or the test proves nothing"


def test_hidden_groups_and_topics_are_answered_as_those_that_never_were(stage: Stage) -> None:
    client, cast = stage.client("bob"), stage.cast
    hidden = {
        "group": [cast.benefits.pk, cast.foreign.pk, stage.closed.pk],
        "topic": [cast.pensions.pk, cast.secrets.pk, stage.inactive.pk, stage.closed_topic.pk],
    }
    for field, ids in hidden.items():
        never = ask(client, "canary", **{field: NOBODYS_ID})
        assert never.status_code == 422
        assert wrong_fields_in(never.content.decode()) == {field}
        for pk in ids:
            assert likeness(ask(client, "canary", **{field: pk})) == likeness(never), (field, pk)
    assert has_hits(ask(client, "canary", group=cast.payroll.pk, topic=cast.payments.pk).content.decode()), (
        "his own are taken"
    )


def test_names_of_people_elsewhere_are_answered_as_names_of_nobody(stage: Stage) -> None:
    client = stage.client("bob")
    unknown = likeness(ask(client, "canary", author="Zacharias"), "Zacharias")
    for name in (stage.cast.mallory.name, stage.cast.charlie.name, stage.cast.erin.name, stage.grace.name):
        assert likeness(ask(client, "canary", author=name), name) == unknown, name
    assert has_hits(ask(client, "canary", author=stage.cast.alice.name).content.decode()), "or the test proves nothing"


def test_the_form_names_no_group_topic_or_person_of_others(stage: Stage) -> None:
    for role in ("bob", "alice", "mallory"):
        text = stage.client(role).get(PATH).content.decode()
        assert not [word for word in CANARIES if word in text and role not in CANARIES[word]], role


def test_messages_of_the_groups_that_one_reads_are_those_that_one_may_read(stage: Stage) -> None:
    found = 0
    for member in Member.objects.all():
        visible = set(Message.objects.visible_to(member))
        groups = list(MessengerGroup.objects.visible_to(member).values_list("pk", flat=True))
        assert set(Message.objects.active_in(groups)) == visible, member.name
        found += len(visible)
    assert 0 < found < Message.objects.count() * Member.objects.count(), "or the test proves nothing"


@EXAMPLES
@given(words=st.text(max_size=200), older=st.one_of(st.none(), st.text(max_size=30)))
def test_no_text_breaks_the_search(stage: Stage, words: str, older: str | None) -> None:
    query = f"?q={quote(words, errors='ignore')}" + (f"&older={quote(older, errors='ignore')}" if older else "")
    stage.clients.setdefault("bob", stage.client("bob"))
    assert stage.clients["bob"].get(PATH + query).status_code in (200, 400, 404, 422)
