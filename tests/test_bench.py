"""The bench measures what it says: the fill is what the product would have written, the table's arithmetic holds."""

import random

import pytest
from django.db import connection
from django.test import Client

from bench.conversation import as_the_rule_says, conversation
from bench.fill import CROWD_SLUG, SLUG, write
from bench.shape import TINY
from messenger.audit import audit
from messenger.models import Message, Topic
from tenancy.models import Member


@pytest.mark.django_db
def test_what_is_filled_in_opens_and_is_what_the_product_would_have_written() -> None:
    write(TINY)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    topics = Topic.objects.filter(tenancy__slug=SLUG)
    assert topics.count() == max(TINY.topics)
    assert list(topics.order_by("pk").values_list("last_sequence", flat=True)[:2]) == list(TINY.threads)
    assert Message.objects.filter(outcome=Message.Outcome.EMAIL).count() > 50
    assert audit() == []
    reader = Member.objects.get(user__email=f"reader{len(TINY.topics)}@{SLUG}.example")
    client = Client()
    client.force_login(reader.user)
    listing = client.get(f"/{SLUG}/messenger/").content.decode()
    assert "Topic 1<" in listing
    for topic in topics:
        thread = client.get(f"/{SLUG}/messenger/topics/{topic.pk}/")
        assert f'id="message-{topic.last_sequence}"' in thread.content.decode()
        assert 'id="new"' in thread.content.decode()
    crowd = Topic.objects.filter(tenancy__slug=CROWD_SLUG).last()
    assert crowd is not None
    assert crowd.readers().count() == max(TINY.crowds)


def test_a_conversation_is_decided_as_the_rule_says() -> None:
    said = list(conversation(random.Random(1), 200, end=1_700_000_000))
    assert said[-1].at == 1_700_000_000
    assert {one.is_emailed for one in said} == {True, False}
    assert all(as_the_rule_says(one) for one in said)
