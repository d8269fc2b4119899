"""Fills django-machina with a thread to read and one to reply in, each with as many posts as the argument says.

Prints as JSON what the requests need: paths, the form of a post, and cookies.
"""

import json
import sys
from math import ceil
from typing import Any

import django

django.setup()

from django.db import connection, transaction  # noqa: E402
from django.urls import reverse  # noqa: E402
from machina.apps.forum.models import Forum  # noqa: E402
from machina.apps.forum_conversation.models import Topic  # noqa: E402
from machina.apps.forum_member.models import ForumProfile  # noqa: E402
from machina.conf import settings as machina  # noqa: E402
from site_visit import members, sign_in, vacuum  # noqa: E402

POSTS = """
    INSERT INTO forum_conversation_post (
        topic_id, poster_id, subject, content, _content_rendered, created, updated,
        approved, enable_signature, updates_count
    )
    SELECT %(topic)s, (%(members)s)[1 + n %% %(count)s], %(subject)s, text, '<p>' || text || '</p>', at, at,
           true, true, 0
    FROM generate_series(1, %(messages)s) AS n,
         LATERAL (SELECT 'Message ' || n || ': the payslips of March are ready; please look at the overtime of '
                         'the night shift before Friday noon, and say if a line is missing.' AS text,
                         now() - (%(messages)s - n) * interval '1 second' AS at) AS words
    ORDER BY n
"""
COUNTERS = """
    UPDATE forum_member_forumprofile AS profile SET posts_count = counted.posts
    FROM (SELECT poster_id, count(*) AS posts FROM forum_conversation_post GROUP BY poster_id) AS counted
    WHERE counted.poster_id = profile.user_id
"""


def main(messages: int) -> dict[str, str]:
    users = members()
    forum, read, answered = create_forum(users, messages)
    vacuum()
    visitor = sign_in(users[1])
    forum_path = {"forum_slug": forum.slug, "forum_pk": forum.pk}
    page = ceil(messages / machina.TOPIC_POSTS_NUMBER_PER_PAGE)
    thread = reverse("forum_conversation:topic", kwargs={**forum_path, "slug": read.slug, "pk": read.pk})
    thread = f"{thread}?page={page}"
    answer = {**forum_path, "topic_slug": answered.slug, "topic_pk": answered.pk}
    visitor.check(thread, f"Message {messages}:", f"Message {messages - 1}:")
    text = "The overtime of the night shift is in, @UUID@. Please look at it again."
    return {
        **visitor.cookies(),
        "thread": thread,
        "post": reverse("forum_conversation:post_create", kwargs=answer),
        "form": json.dumps({"subject": f"Re: {answered.subject}", "content": text, "enable_signature": "on"}),
    }


@transaction.atomic  # if interrupted, it is created again
def create_forum(users: list[Any], messages: int) -> tuple[Any, Any, Any]:
    """A new forum for each length, because each post counts the posts of its whole forum."""
    if not ForumProfile.objects.exists():
        ForumProfile.objects.bulk_create(ForumProfile(user=user) for user in users)
    forum = Forum.objects.create(name=f"Payroll {messages}", type=Forum.FORUM_POST)
    read, answered = (create_topic(f"{what} {messages}", forum, users, messages) for what in ("Read", "Answer"))
    with connection.cursor() as cursor:
        cursor.execute(COUNTERS)
    return forum, read, answered


def create_topic(subject: str, forum: Any, users: list[Any], messages: int) -> Any:
    """A topic with its posts. machina itself updates the counters."""
    topic = Topic(forum=forum, poster=users[0], subject=subject, type=Topic.TOPIC_POST, status=Topic.TOPIC_UNLOCKED)
    topic.save()
    values: dict[str, Any] = {"topic": topic.pk, "subject": subject, "messages": messages}
    with connection.cursor() as cursor:
        cursor.execute(POSTS, {**values, "members": [user.pk for user in users], "count": len(users)})
    topic.update_trackers()
    return topic


print(json.dumps(main(int(sys.argv[1]))))
