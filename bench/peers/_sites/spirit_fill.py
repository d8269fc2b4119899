"""Fills Spirit with a thread to read and one to reply in, each with as many comments as the argument says.

The first time it also creates 5,000 topics. Prints as JSON what the requests need: paths, the form of a post, cookies.
"""

import json
import sys
from math import ceil
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from djconfig.models import Config  # noqa: E402
from site_visit import members, sign_in, vacuum  # noqa: E402
from spirit.category.models import Category  # noqa: E402
from spirit.topic.models import Topic  # noqa: E402
from spirit.user.models import UserProfile  # noqa: E402

TOPICS = 5000
ROWS = 50  # on a page, like our product
COMMENTS = """
    INSERT INTO spirit_comment_comment (
        topic_id, user_id, comment, comment_html, action, date,
        is_removed, is_modified, modified_count, likes_count
    )
    SELECT topic.id, (%(members)s)[1 + (topic.id + n) %% %(count)s], text, '<p>' || text || '</p>', 0,
           topic.last_active - (topic.comment_count - n) * interval '1 second', false, false, 0, 0
    FROM spirit_topic_topic AS topic, generate_series(1, topic.comment_count) AS n,
         LATERAL (SELECT 'Message ' || n || ': the payslips of March are ready; please look at the overtime of '
                         'the night shift before Friday noon, and say if a line is missing.' AS text) AS words
    WHERE topic.id = ANY(%(topics)s)
    ORDER BY topic.id, n
"""
COUNTERS = """
    UPDATE spirit_user_userprofile AS profile SET comment_count = counted.comments
    FROM (SELECT user_id, count(*) AS comments FROM spirit_comment_comment GROUP BY user_id) AS counted
    WHERE counted.user_id = profile.user_id
"""


def main(messages: int) -> dict[str, str]:
    users = members()
    read, answered = create_topics(users, messages)
    vacuum()
    visitor = sign_in(users[1])
    thread = f"{read.get_absolute_url()}?page={ceil(messages / ROWS)}"
    visitor.check(thread, f"Message {messages}:", f"Message {messages - 1}:")
    visitor.check("/", read.title, "Topic 4990")
    return {
        **visitor.cookies(),
        "thread": thread,
        "post": f"/comment/{answered.pk}/publish/",
        "form": json.dumps({"comment": "The overtime of the night shift is in, @UUID@. Please look at it again."}),
        "topics": "/",
    }


@transaction.atomic  # if interrupted, they are created again
def create_topics(users: list[Any], messages: int) -> list[Topic]:
    if not UserProfile.objects.filter(user=users[0]).exists():
        UserProfile.objects.bulk_create(UserProfile(user=user, nickname=user.username) for user in users)
    for name in ("comments_per_page", "topics_per_page"):
        Config.objects.update_or_create(key=name, defaults={"value": str(ROWS)})
    category, _ = Category.objects.get_or_create(title="Payroll")

    def topic(title: str, comments: int) -> Topic:
        return Topic(user=users[0], category=category, title=title, comment_count=comments)

    others = [] if Topic.objects.exists() else [topic(f"Topic {number}", 1) for number in range(TOPICS)]
    pair = [topic(f"Read {messages}", messages), topic(f"Answer {messages}", messages)]
    topics = Topic.objects.bulk_create(others + pair)
    values: dict[str, Any] = {"members": [user.pk for user in users], "count": len(users)}
    with connection.cursor() as cursor:
        cursor.execute(COMMENTS, {**values, "topics": [topic.pk for topic in topics]})
        cursor.execute(COUNTERS)
    return pair


print(json.dumps(main(int(sys.argv[1]))))
