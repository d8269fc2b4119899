"""What of a topic is its reader's own: how far they have read, whether they muted it, whether they are mentioned."""

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, FilteredRelation, OuterRef, Q
from django.db.models.functions import Coalesce

from messenger.access import TopicQuerySet
from messenger.models import MailPreference, Mention, TopicMute
from tenancy.models import Member


def with_reader(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Each with what is this member's own: `is_muted`, `wants_own` messages mailed, `read_up_to` (a sequence)."""
    return topics.annotate(
        is_muted=Exists(TopicMute.objects.filter(member=member, topic=OuterRef("pk"))),
        wants_own=Exists(MailPreference.objects.filter(member=member, own_messages=True)),
        position=FilteredRelation("read_positions", condition=Q(read_positions__member=member)),
        read_up_to=Coalesce("position__sequence", 0),
    )


def unread_by(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """Those with messages that this member has not read."""
    return with_reader(topics, member).filter(last_sequence__gt=F("read_up_to"))


def with_unread_mention(topics: TopicQuerySet, member: Member) -> TopicQuerySet:
    """As with_reader, and with `is_mentioned`: whether a message that they have not read yet mentions them."""
    mentions = Mention.objects.filter(member=member, topic=OuterRef("pk"), sequence__gt=OuterRef("read_up_to"))
    # Looked for where something is unread only, which in most topics of a list nothing is.
    is_mentioned = Q(last_sequence__gt=F("read_up_to")) & Q(Exists(mentions))
    return with_reader(topics, member).annotate(
        is_mentioned=ExpressionWrapper(is_mentioned, output_field=BooleanField())
    )
