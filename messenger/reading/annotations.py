"""What differs for each reader of a topic: how far they have read, whether they muted it, whether it mentions them."""

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, FilteredRelation, OuterRef, Q
from django.db.models.functions import Coalesce

from messenger.access import TopicQuerySet
from messenger.models import MailPreference, Mention, TopicMute
from tenancy.models import Member


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


def unread_by(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """The topics with messages that this member has not read, annotated as by `with_reader`."""
    return with_reader(topics, member).filter(last_sequence__gt=F("read_up_to"))


def with_unread_mention(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Annotate as `with_reader` does, and with `is_mentioned`: an unread message mentions the member."""
    mentions = Mention.objects.filter(member=member, topic=OuterRef("pk"), sequence__gt=OuterRef("read_up_to"))
    # Mentions are looked up only for topics with unread messages, which are few in most lists.
    is_mentioned = Q(last_sequence__gt=F("read_up_to")) & Q(Exists(mentions))
    return with_reader(topics, member).annotate(
        is_mentioned=ExpressionWrapper(is_mentioned, output_field=BooleanField())
    )
