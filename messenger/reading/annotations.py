"""What differs for each reader of a topic: how far they have read, whether they muted it, whether it mentions them.

It also holds the one definition of what is unread (`unread_messages`).
"""

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce

from messenger.access import MessageQuerySet, TopicQuerySet
from messenger.models import MailPreference, Mention, Message, TopicMute
from tenancy.models import Member

# Counting stops here: larger numbers are shown as "99+" (`unread_in_words`), and a long absence costs no more.
MAX_COUNTED = 99
_IS_BEHIND = Q(last_sequence__gt=F("read_up_to"))


class CountUpToMax(Subquery):
    """The number of rows of a subquery; MAX_COUNTED + 1 stands for any larger number."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()

    def __init__(self, rows: MessageQuerySet) -> None:
        super().__init__(rows.order_by().values("sequence")[: MAX_COUNTED + 1])


def unread_in_words(number: int) -> str:
    """A number of unread messages, or of topics with any, as it is shown everywhere."""
    return str(number) if number <= MAX_COUNTED else f"{MAX_COUNTED}+"


def with_reader(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Annotate each topic for this member.

    `is_muted`: they muted the topic. `wants_own`: they want e-mails about their own messages. `read_up_to`: the
    sequence number up to which they have read, 0 for nothing.
    """
    return topics.annotate(
        is_muted=Exists(TopicMute.objects.filter(member=member, topic=OuterRef("pk"))),
        wants_own=Exists(MailPreference.objects.filter(member=member, own_messages=True)),
        position=FilteredRelation("read_positions", condition=Q(read_positions__member=member)),
        read_up_to=Coalesce("position__sequence", 0),
    )


def unread_messages(member: Member, after: str = "read_up_to") -> MessageQuerySet:
    """What is unread in the topic of an outer query: others' messages that still have a text, after a position.

    `after` names the annotation of the topic that holds the position.
    """
    messages: MessageQuerySet = Message.objects.filter(topic=OuterRef("pk"), sequence__gt=OuterRef(after))
    return messages.filter(removed_at=None).exclude(author=member)


def unread_by(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """The topics with messages that are unread by this member, annotated as by `with_reader`."""
    return with_reader(topics, member).filter(_IS_BEHIND, Exists(unread_messages(member)))


def with_first_unread(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Annotate as `with_reader` does, and with `first_unread`: the first unread message's sequence number, or 0."""
    first = Subquery(unread_messages(member).oldest_first().values("sequence")[:1])
    return with_reader(topics, member).annotate(
        first_unread=Case(When(_IS_BEHIND, then=Coalesce(first, 0)), default=Value(0))
    )


def with_unread(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Annotate as `with_reader` does, and with what the topic list shows.

    `unread`: the number of unread messages, as `CountUpToMax` counts. `is_mentioned`: one of them mentions the member.
    """
    mentions = Mention.objects.filter(member=member, topic=OuterRef("pk"), sequence__gt=OuterRef("read_up_to"))
    # Both are looked up only for topics with messages after the position, which are few in most lists.
    return with_reader(topics, member).annotate(
        unread=Case(When(_IS_BEHIND, then=CountUpToMax(unread_messages(member))), default=Value(0)),
        is_mentioned=ExpressionWrapper(_IS_BEHIND & Q(Exists(mentions)), output_field=BooleanField()),
    )
