"""What is unread: others' messages that still have a text, for the list, the menu, the catch-up mail and the thread."""

import random
import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from django.db import connection

from messenger.groups.services import save_group
from messenger.messages.editing import edit_message, remove_message
from messenger.models import Message, ReadPosition, Topic
from messenger.notifications.catch_up.digest import unread_topics_of
from messenger.notifications.catch_up.mail import UnreadTopic, catch_up_mail
from messenger.reading.positions import mark_all_read, mark_read, mark_unread_from
from messenger.reading.unread_count import count_unread_topics
from messenger.threads.thread_topic import topic_for
from messenger.topics.listing import first_page, groups_of, page_of
from tenancy.models import Member
from tests.support.cast import Cast, make_topic, post, sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(cast: Cast) -> Cast:
    """With a topic that sends no mails: the catch-up mail leaves out what is about to be e-mailed."""
    Topic.objects.update(notifications_enabled=False)
    cast.payments.refresh_from_db()
    return cast


def in_list(reader: Member) -> dict[int, str]:
    groups = groups_of(reader)
    rows, _has_more = first_page(reader, groups)
    assert rows == page_of(Topic.objects.visible_to(reader), groups, reader, 1)[0], "both queries agree"
    return {row.pk: row.unread for row in rows}


def in_digest(reader: Member) -> dict[int, int]:
    return {one.topic.pk: one.messages for one in unread_topics_of(reader)}


def several(cast: Cast, *authors: Member) -> None:
    for author in authors:
        post(cast.payments, author)


def fifty_four_and_a_reply(cast: Cast) -> None:
    several(cast, *[cast.alice] * 54, cast.bob)


def one_removed(cast: Cast) -> None:
    several(cast, cast.alice, cast.alice)
    remove_message(cast.payments.pk, 1, cast.alice)


def all_removed(cast: Cast) -> None:
    one_removed(cast)
    remove_message(cast.payments.pk, 2, cast.alice)


def own_between(cast: Cast) -> None:
    several(cast, cast.alice, cast.bob, cast.alice, cast.bob)


def own_after_a_removed_one(cast: Cast) -> None:
    several(cast, cast.alice, cast.bob)
    remove_message(cast.payments.pk, 1, cast.alice)


def an_edited_one(cast: Cast) -> None:
    several(cast, cast.alice)
    edit_message(cast.payments.pk, 1, cast.alice, "Corrected")


def marked_unread_from_the_second(cast: Cast) -> None:
    several(cast, cast.alice, cast.alice, cast.bob, cast.alice)
    mark_read(cast.payments, cast.bob, 4)
    mark_unread_from(cast.payments, cast.bob, 2)


def marked_unread_from_ones_own_last(cast: Cast) -> None:
    several(cast, cast.alice, cast.bob)
    mark_read(cast.payments, cast.bob, 2)
    mark_unread_from(cast.payments, cast.bob, 2)


def all_marked_read(cast: Cast) -> None:
    several(cast, cast.alice, cast.bob)
    mark_all_read(cast.bob)


def left_and_back(cast: Cast) -> None:
    several(cast, cast.alice)
    save_group(cast.payroll, [cast.alice])
    several(cast, cast.alice)
    save_group(cast.payroll, [cast.alice, cast.bob])


def back_and_one_more(cast: Cast) -> None:
    left_and_back(cast)
    several(cast, cast.alice)


@pytest.mark.parametrize(
    ("happened", "number", "first"),
    [
        (lambda cast: several(cast, cast.alice), 1, 1),
        (lambda cast: several(cast, cast.bob), 0, 0),
        (fifty_four_and_a_reply, 54, 1),
        (one_removed, 1, 2),
        (all_removed, 0, 0),
        (own_between, 2, 1),
        (own_after_a_removed_one, 0, 0),
        (an_edited_one, 1, 1),
        (marked_unread_from_the_second, 2, 2),
        (marked_unread_from_ones_own_last, 0, 0),
        (all_marked_read, 0, 0),
        (left_and_back, 0, 0),
        (back_and_one_more, 1, 3),
        (lambda cast: several(cast, *[cast.alice] * 99), 99, 1),
        (lambda cast: several(cast, cast.bob, *[cast.alice] * 99, cast.bob), 99, 2),
        (lambda cast: several(cast, *[cast.alice] * 100), 100, 1),
        (lambda cast: several(cast, *[cast.alice] * 130), 100, 1),
    ],
)
def test_what_is_unread_is_the_same_everywhere(
    cast: Cast, happened: Callable[[Cast], None], number: int, first: int
) -> None:
    happened(cast)
    cast.payments.refresh_from_db()
    assert cast.payments.last_sequence, "something was posted, or the test proves nothing"
    shown = {0: "", 100: "99+"}.get(number, str(number))
    assert in_list(cast.bob) == {cast.payments.pk: shown}
    assert count_unread_topics(cast.bob) == (number > 0)
    assert in_digest(cast.bob) == ({cast.payments.pk: number} if number else {})
    opened = topic_for(cast.bob, cast.payments.pk)
    assert opened.read_up_to == (first - 1 if first else cast.payments.last_sequence)


def test_the_three_numbers_follow_a_model_whatever_happens(cast: Cast) -> None:
    chance = random.Random(16)
    topics = [cast.payments, make_topic(cast.payroll, "Sick leave", notifications_enabled=False)]
    removed = seen_twice = 0
    for _ in range(150):
        topic, author = chance.choice(topics), chance.choice([cast.alice, cast.bob])
        sequences = list(topic.messages.filter(removed_at=None).values_list("sequence", "author"))
        match chance.choice(["post", "post", "post", "read", "unread", "remove", "edit"]):
            case "read" if sequences:
                mark_read(topic, cast.bob, chance.choice(sequences)[0])
            case "unread" if sequences:
                mark_unread_from(topic, cast.bob, chance.choice(sequences)[0])
            case "remove" if sequences:
                sequence, writer = chance.choice(sequences)
                remove_message(topic.pk, sequence, Member.objects.get(pk=writer))
                removed += 1
            case "edit" if sequences:
                sequence, writer = chance.choice(sequences)
                edit_message(topic.pk, sequence, Member.objects.get(pk=writer), f"Edited {chance.random()}")
            case _:
                post(topic, author)
        expected = {topic.pk: unread_in_the_model(topic, cast.bob) for topic in topics}
        assert in_list(cast.bob) == {pk: str(number or "") for pk, number in expected.items()}
        assert count_unread_topics(cast.bob) == sum(number > 0 for number in expected.values())
        assert in_digest(cast.bob) == {pk: number for pk, number in expected.items() if number}
        seen_twice += all(expected.values())
    assert removed > 5, "or the test proves nothing"
    assert seen_twice > 5, "or the test proves nothing"


def unread_in_the_model(topic: Topic, reader: Member) -> int:
    position = ReadPosition.objects.filter(topic=topic, member=reader).first()
    others = [message for message in topic.messages.all() if message.author_id != reader.pk and message.body]
    return sum(message.sequence > (position.sequence if position else 0) for message in others)


def test_a_page_of_the_list_shows_99_plus_and_no_larger_number(cast: Cast) -> None:
    several(cast, *[cast.alice] * 130)
    page = sign_in(cast.bob).get("/northwind/messenger/").content.decode()
    assert re.findall(r'<span class="unread-badge">([^<]*)<', page) == ["99+"]


@pytest.mark.parametrize(
    ("numbers", "total", "each"),
    [
        ([1], "1 unread message in", ["1 message"]),
        ([99], "99 unread messages in", ["99 messages"]),
        ([60, 60], "99+ unread messages in", ["60 messages", "60 messages"]),
        ([100, 1], "99+ unread messages in", ["99+ messages", "1 message"]),
    ],
)
def test_the_catch_up_mail_counts_as_the_list_does(cast: Cast, numbers: list[int], total: str, each: list[str]) -> None:
    unread = [UnreadTopic(cast.payments, 0, 200, number) for number in numbers]
    mail: Any = catch_up_mail(cast.bob, date(2026, 11, 2), unread)
    for text in (mail.body, re.sub(r"</?b>", "", mail.alternatives[0][0])):
        assert total in text
        assert re.findall(r"(?:^|: )(\S+ messages?)(?:$|</li>)", text, re.MULTILINE) == each


def test_a_thread_opens_at_the_first_unread_message_and_not_at_ones_own(cast: Cast) -> None:
    several(cast, cast.alice)
    mark_read(cast.payments, cast.bob, 1)
    several(cast, cast.alice, cast.bob, cast.alice)
    remove_message(cast.payments.pk, 2, cast.alice)
    thread = sign_in(cast.bob).get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert thread.index('id="message-3"') < thread.index('id="new"') < thread.index('id="message-4"')
    assert 'data-read-up-to="3"' in thread, "what comes before is no gap"


def test_counting_reads_the_index_alone(cast: Cast) -> None:
    several(cast, *[cast.alice] * 40)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(
            "EXPLAIN "
            + str(
                Message.objects.filter(topic=cast.payments, sequence__gt=3, removed_at=None)
                .exclude(author=cast.bob)
                .order_by()
                .values("sequence")[:100]
                .query
            )
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Index Only Scan using message_unread_in_topic" in plan
