"""A search reveals nothing that its reader may not read: not by words, filters, or differences between responses."""

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
from tests.support.stage import CANARIES, ROLES, UNUSED_ID, Response, Stage, rolled_back

pytestmark = pytest.mark.django_db

PATH = "/northwind/messenger/search/"
EXAMPLES = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def search(client: Client, words: str, **fields: Any) -> Response:
    return client.get(PATH, {"q": words, **fields})


def likeness(response: Response, typed: str = "") -> tuple[int, str]:
    """A response to compare with another: without the form's token, and without the text that was typed."""
    text = re.sub('(name="csrfmiddlewaretoken" value=")[^"]*', "", response.content.decode())
    return response.status_code, text.replace(typed, "TYPED") if typed else text


@pytest.mark.parametrize("role", ROLES)
def test_each_role_finds_only_what_it_may_read(stage: Stage, role: str) -> None:
    words = [word for word in CANARIES if word.endswith("-message")]
    assert len(words) == 5, "or the test proves nothing"
    for slug in ("northwind", "aurora"):
        for word in words:
            with rolled_back():
                response = stage.client(role).get(stage.path("messenger:search", slug=slug), {"q": word})
            is_found = has_hits(response.content.decode())
            at_home = (role == "erin") == (slug == "aurora")
            assert is_found is (role in CANARIES[word] and at_home), (slug, word)
            text = response.content.decode()
            assert not [other for other in CANARIES if other != word and other in text and role not in CANARIES[other]]


def test_a_word_only_in_hidden_messages_gives_the_same_response_as_an_unknown_word(stage: Stage) -> None:
    client = stage.client("bob")
    unknown = likeness(search(client, "canary-nowhere-message"), "canary-nowhere-message")
    for word in (
        "canary-benefits-message",
        "canary-aurora-message",
        "canary-inactive-message",
        "canary-closed-message",
    ):
        assert Message.objects.filter(body=word).exists(), "or the test proves nothing"
        assert likeness(search(client, word), word) == unknown, word
    assert has_hits(search(client, "canary-payroll-message").content.decode()), "or the test proves nothing"


def test_hidden_groups_and_topics_give_the_same_response_as_missing_ones(stage: Stage) -> None:
    client, cast = stage.client("bob"), stage.cast
    hidden = {
        "group": [cast.benefits.pk, cast.foreign.pk, stage.closed.pk],
        "topic": [cast.pensions.pk, cast.secrets.pk, stage.inactive.pk, stage.closed_topic.pk],
    }
    for field, ids in hidden.items():
        missing = search(client, "canary", **{field: UNUSED_ID})
        assert missing.status_code == 422
        assert wrong_fields_in(missing.content.decode()) == {field}
        for pk in ids:
            assert likeness(search(client, "canary", **{field: pk})) == likeness(missing), (field, pk)
    assert has_hits(search(client, "canary", group=cast.payroll.pk, topic=cast.payments.pk).content.decode()), (
        "his own are accepted"
    )


def test_names_of_people_in_other_groups_give_the_same_response_as_unknown_names(stage: Stage) -> None:
    client = stage.client("bob")
    unknown = likeness(search(client, "canary", author="Zacharias"), "Zacharias")
    for name in (stage.cast.mallory.name, stage.cast.charlie.name, stage.cast.erin.name, stage.grace.name):
        assert likeness(search(client, "canary", author=name), name) == unknown, name
    assert has_hits(search(client, "canary", author=stage.cast.alice.name).content.decode()), (
        "or the test proves nothing"
    )


def test_the_form_shows_no_hidden_group_topic_or_person(stage: Stage) -> None:
    for role in ("bob", "alice", "mallory"):
        text = stage.client(role).get(PATH).content.decode()
        assert not [word for word in CANARIES if word in text and role not in CANARIES[word]], role


def test_active_in_the_visible_groups_selects_the_same_messages_as_visible_to(stage: Stage) -> None:
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
