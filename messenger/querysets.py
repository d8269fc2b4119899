"""The access rule, and the one door to every row of Messenger.

Views, tasks, the live stream and mails reach rows through here only. The rule itself is `in_force`:
a membership lets its member in while it is open and everything that it hangs on is active. `visible_to` and
`readers` ask it in opposite directions, `manageable_by` and `listed_for` say what else a role may see.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import (
    Case,
    Count,
    Exists,
    ExpressionWrapper,
    F,
    FilteredRelation,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce, JSONObject, Lower

from ippex_messenger.prepared import Prepared, PreparedSql, columns
from tenancy.models import Member, MemberQuerySet

if TYPE_CHECKING:
    from messenger.models import GroupMembership, Message, MessengerGroup, Topic  # noqa: F401  (named in quotes)


def _in_use(group: str) -> dict[str, bool]:
    """The half of the access rule that is about a group; `group` leads to it."""
    return {f"{group}is_active": True, f"{group}tenancy__messenger_enabled": True}


class GroupMembershipQuerySet(models.QuerySet["GroupMembership"]):
    def open(self) -> "GroupMembershipQuerySet":
        """Those that nobody ended, whatever the state of their member, group and tenancy."""
        return self.filter(left_at=None)

    def in_force(self) -> "GroupMembershipQuerySet":
        """Those that let their member read the group now. This is the access rule."""
        return self.of_people().filter(**_in_use("group__"))

    def of_people(self) -> "GroupMembershipQuerySet":
        """The half of the rule that is about the member: for groups that are known to be in use."""
        return self.open().filter(member__is_active=True, member__user__is_active=True)

    def of(self, member: Member) -> "GroupMembershipQuerySet":
        """`in_force` for one member. What it asks of them, their user and their tenancy is asked once, not each time.

        A group is of its members' tenancy: the database sees to that.
        """
        able = Member.objects.active().filter(pk=member.pk, tenancy__messenger_enabled=True)
        return self.open().filter(Exists(able), member=member, group__is_active=True)

    def letting_into(self, topic: Any) -> "GroupMembershipQuerySet":
        """Those that let their member read a topic now: its id, or a reference to it from within a query."""
        return self.in_force().filter(group__topics=topic, group__topics__is_active=True)


def _memberships() -> GroupMembershipQuerySet:
    from messenger.models import GroupMembership

    return GroupMembership.objects.all()


def _topics() -> "TopicQuerySet":
    from messenger.models import Topic

    return Topic.objects.all()


class MessengerGroupQuerySet(models.QuerySet["MessengerGroup"]):
    def visible_to(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups whose topics this member reads."""
        return self.filter(pk__in=_memberships().of(member).values("group"))

    def manageable_by(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups in which this member creates and edits topics: their own, with the role."""
        return self.visible_to(member) if member.is_messenger_manager else self.none()

    def listed_for(self, member: Member) -> "MessengerGroupQuerySet":
        """The groups that Administration > Messenger users shows: all to an administrator, else one's own."""
        if member.is_administrator:
            return self.filter(tenancy=member.tenancy_id)
        return self.visible_to(member)

    def with_member_count(self) -> "MessengerGroupQuerySet":
        """Each with `member_count`: the people who were put into it and did not leave, active or not."""
        return self.annotate(member_count=Count("memberships", filter=Q(memberships__left_at=None)))

    def by_name(self) -> "MessengerGroupQuerySet":
        return self.order_by(Lower("name"), "pk")


class TopicQuerySet(models.QuerySet["Topic"]):
    def visible_to(self, member: Member) -> "TopicQuerySet":
        """The topics that this member reads and takes part in: active ones of their groups."""
        return self.filter(is_active=True, group__in=_memberships().of(member).values("group"))

    def active_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """Of groups (ids) that `MessengerGroup.objects.visible_to` found just now: the same as `visible_to`.

        Where the planner should not begin with the groups: the few latest ones of many topics are found by time.
        """
        return self.filter(group__pk__one_of=groups, is_active=True)

    def active_of(self, group: int) -> "TopicQuerySet":
        """The same, of a single one: its latest topics are found by time whatever else is in the tenancy."""
        return self.filter(group=group, is_active=True)

    def inactive_in(self, groups: Collection[int]) -> "TopicQuerySet":
        """Of such groups the inactive ones: a Messenger manager edits them, as `manageable_by` says."""
        return self.filter(group__pk__one_of=groups, is_active=False)

    def manageable_by(self, member: Member) -> "TopicQuerySet":
        """The topics, inactive ones too, whose settings this member edits."""
        if not member.is_messenger_manager:
            return self.none()
        return self.filter(group__in=_memberships().of(member).values("group"))

    def with_reader(self, member: Member) -> "TopicQuerySet":
        """Each with what is this member's own: `is_muted`, `wants_own` messages mailed, `read_up_to` (a sequence)."""
        from messenger.models import MailChoice, TopicMute

        return self.annotate(
            is_muted=Exists(TopicMute.objects.filter(member=member, topic=OuterRef("pk"))),
            wants_own=Exists(MailChoice.objects.filter(member=member, own_messages=True)),
            position=FilteredRelation("read_positions", condition=Q(read_positions__member=member)),
            read_up_to=Coalesce("position__sequence", 0),
        )

    def unread_by(self, member: Member) -> "TopicQuerySet":
        """Those with messages that this member has not read."""
        return self.with_reader(member).filter(last_sequence__gt=F("read_up_to"))

    def with_unread_mention(self, member: Member) -> "TopicQuerySet":
        """As with_reader, and with `is_mentioned`: whether a message that they have not read yet mentions them."""
        from messenger.models import Mention

        mentions = Mention.objects.filter(member=member, topic=OuterRef("pk"), sequence__gt=OuterRef("read_up_to"))
        # Looked for where something is unread only, which in most topics of a list nothing is.
        is_mentioned = Q(last_sequence__gt=F("read_up_to")) & Q(Exists(mentions))
        return self.with_reader(member).annotate(
            is_mentioned=ExpressionWrapper(is_mentioned, output_field=models.BooleanField())
        )

    def by_name(self) -> "TopicQuerySet":
        return self.order_by(Lower("name"), "pk")

    def latest_first(self) -> "TopicQuerySet":
        return self.order_by("-last_activity_at", "-pk")


class MessageQuerySet(models.QuerySet["Message"]):
    def visible_to(self, member: Member) -> "MessageQuerySet":
        from messenger.models import Topic

        return self.filter(topic__in=Topic.objects.visible_to(member))

    def active_in(self, groups: Collection[int]) -> "MessageQuerySet":
        """Of groups (ids) that `MessengerGroup.objects.visible_to` found just now: the same as `visible_to`."""
        return self.filter(topic__group__pk__one_of=groups, topic__is_active=True)

    def with_missing(self) -> "MessageQuerySet":
        """Each e-mailed one with `missing`: how many of its mails are `waiting`, `failed` or `cancelled`."""
        from messenger.models import Delivery, Message

        missing = (
            Delivery.objects.filter(message=OuterRef("pk"), next_attempt_at__isnull=False)
            .exclude(state=Delivery.State.SENT)
            .order_by()
            .values("message")
            .annotate(
                counts=JSONObject(
                    waiting=Count("pk", filter=Q(state=Delivery.State.WAITING)),
                    failed=Count("pk", filter=Q(state=Delivery.State.FAILED)),
                    cancelled=Count("pk", filter=Q(state=Delivery.State.NOT_SENT)),
                )
            )
        )
        return self.annotate(
            missing=Case(When(outcome=Message.Outcome.EMAIL, then=Subquery(missing.values("counts"))), default=None)
        )

    def before(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__lt=sequence)

    def after(self, sequence: int) -> "MessageQuerySet":
        return self.filter(sequence__gt=sequence)

    def oldest_first(self) -> "MessageQuerySet":
        return self.order_by("sequence")

    def newest_first(self) -> "MessageQuerySet":
        return self.order_by("-sequence")


def readers(topic_pk: int) -> MemberQuerySet:
    """The members who read this topic now: exactly those for whom `visible_to` finds it."""
    return Member.objects.filter(pk__in=_memberships().letting_into(topic_pk).values("member"))


def _readable(member_ids: Collection[int], topic_ids: Collection[int]) -> models.QuerySet[Any, tuple[int, ...]]:
    topics = {"group__topics__pk__one_of": topic_ids, "group__topics__is_active": True}
    memberships = _memberships().in_force().filter(member__pk__one_of=member_ids, **topics)
    return memberships.values_list("member", "group__topics", "group__topics__revision")


_READABLE = Prepared("readable_revisions", _readable, "bigint[]", "bigint[]")

TOPICS_IN_USE = Prepared(
    "topics_in_use",
    lambda topics: (
        _topics().filter(pk__one_of=topics, is_active=True, **_in_use("group__")).values_list(*columns(_topics().model))
    ),
    "bigint[]",
)


def _listening(session_keys: Collection[str], groups: Collection[int], now: Any) -> models.QuerySet[Any, Any]:
    sessions = {
        "member__user__sessions__session_key__one_of": session_keys,
        "member__user__sessions__expire_date__gt": now,
    }
    memberships = _memberships().of_people().filter(group__pk__one_of=groups, **sessions)
    return memberships.values_list("member__user__sessions__session_key", "member__user__password", "member", "group")


# Of sessions: whose membership of which of these groups lets them in, and the hashed password. With the groups of
# TOPICS_IN_USE, in the same snapshot, that is the access rule; each group is looked up once, and not for each member.
# It begins with the sessions, so that it costs the same for each of them, however many people are in the groups.
LISTENING = Prepared("listening", _listening, "text[]", "bigint[]", "timestamptz")


def readable_revisions(member_ids: Collection[int], topic_ids: Collection[int]) -> dict[tuple[int, int], int]:
    """Of these members and topics, who reads which: (member, topic) to the topic's revision, for many streams."""
    return {(member, topic): revision for member, topic, revision in _READABLE(list(member_ids), list(topic_ids))}


def with_messenger(member_ids: Collection[int]) -> set[int]:
    """Of these members, who sees Messenger: those with an active group."""
    return set(_memberships().in_force().filter(member__in=member_ids).values_list("member", flat=True))


def members_at(message: "Message") -> MemberQuerySet:
    """Those who were in the message's group when it was posted, in force today or not."""
    memberships = _memberships().filter(held_at(message.roster), group__topics=message.topic_id)
    return Member.objects.filter(pk__in=memberships.values("member"))


def held_at(roster: Any, path: str = "") -> Q:
    """Of memberships, or of what `path` leads from to them: those that held at a roster of their group."""
    return Q(**{f"{path}joined_roster__lte": roster}) & (
        Q(**{f"{path}left_roster": None}) | Q(**{f"{path}left_roster__gt": roster})
    )


def exclusion(topic: Any, author_pk: int) -> Case:
    """Of members of a topic's group: why no mail about a message of that author is due to them, or "".

    `topic` is its id, or a reference to it from within a query about members.
    """
    from messenger.models import Delivery, MailChoice, TopicMute

    wants_own = MailChoice.objects.filter(member=OuterRef("pk"), own_messages=True)
    muted = TopicMute.objects.filter(member=OuterRef("pk"), topic=topic)
    return Case(
        When(Q(is_active=False) | Q(user__is_active=False), then=Value(Delivery.Reason.MEMBER_INACTIVE)),
        When(Q(pk=author_pk) & ~Exists(wants_own), then=Value(Delivery.Reason.AUTHOR)),
        When(Exists(muted), then=Value(Delivery.Reason.MUTED)),
        default=Value(""),
    )


# Until the transaction ends, nobody joins or leaves the topic's group; others may post at the same time. So "who was a
# member when it was posted" has one answer. A statement of its own before the access rule is asked: a query that has to
# wait for a lock judges other tables by what it saw before the wait.
HELD_GROUP = PreparedSql(
    "held_group",
    "SELECT id FROM messenger_messengergroup WHERE id = (SELECT group_id FROM messenger_topic WHERE id = $1) FOR SHARE",
    "bigint",
)
