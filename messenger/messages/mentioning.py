"""Finds and stores the mentions of a message. They never change what is e-mailed (docs/decisions/0021-mentions.md)."""

from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Value
from django.db.models.functions import Concat, StrIndex

from common.folding import fold
from messenger.markup.mention_syntax import People
from messenger.models import GroupMembership, Mention, Message


def people_in(topic_pk: int, text: str) -> People:
    """The current readers of a topic whose names follow an `@` in the text."""
    if "@" not in text:
        return {}
    # Starts from the group's memberships: a tenancy has many more members than a group.
    named = (
        GroupMembership.objects.letting_into(topic_pk)
        .alias(position=StrIndex(Value(fold(text)), Concat(Value("@"), "member__folded_name")))
        .filter(position__gt=0)
    )
    people = defaultdict(list)
    for pk, name in named.order_by("member").values_list("member", "member__name"):
        people[name].append(pk)
    return people


def save_mentions(message: Message, mentioned: Iterable[int]) -> None:
    """Store the mentions of a new message, except that of its author."""
    others = [pk for pk in mentioned if pk != message.author_id]
    if others:
        where = {"tenancy_id": message.tenancy_id, "topic_id": message.topic_id, "sequence": message.sequence}
        Mention.objects.bulk_create(Mention(**where, member_id=pk) for pk in others)


def replace_mentions(message: Message, mentioned: Iterable[int]) -> None:
    """Replace the mentions of an edited message. A removed message has none."""
    Mention.objects.filter(topic=message.topic_id, sequence=message.sequence).delete()
    save_mentions(message, mentioned)
