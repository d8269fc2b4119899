"""The access rule, applied in both directions, for every combination of what it depends on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from messenger.live.stream_access import readable_revisions
from messenger.models import GroupMembership, Message, MessengerGroup, Topic
from messenger.notifications.recipients import audience_of, clear_audience_cache
from tenancy.models import Member, Tenancy
from tests.support.cast import Cast, make_topic, post

BOTH = (True, False)


@dataclass(frozen=True)
class Situation:
    member_active: bool
    user_active: bool
    membership: str  # open, ended or never
    group_active: bool
    topic_active: bool
    messenger_enabled: bool
    same_tenancy: bool
    is_administrator: bool
    is_messenger_manager: bool

    @property
    def is_in_force(self) -> bool:
        """Whether the membership gives its member access: everything but the topic itself."""
        return (
            self.same_tenancy
            and self.membership == "open"
            and self.member_active
            and self.user_active
            and self.group_active
            and self.messenger_enabled
        )

    @property
    def reads(self) -> bool:
        return self.is_in_force and self.topic_active


SITUATIONS = [
    Situation(*flags) for flags in product(BOTH, BOTH, ("open", "ended", "never"), BOTH, BOTH, BOTH, BOTH, BOTH, BOTH)
]


@dataclass
class Stage:
    """Bob, his group's topic and another client's; updates bring them from one situation to the next."""

    cast: Cast
    _current: dict[str, Any] = field(default_factory=dict)

    def set_up(self, situation: Situation) -> tuple[Member, Topic]:
        for name, change in self._changes().items():
            value = getattr(situation, name)
            if self._current.get(name) != value:
                change(value)
                self._current[name] = value
        bob = self.cast.bob
        bob.is_administrator = situation.is_administrator
        bob.is_messenger_manager = situation.is_messenger_manager
        return bob, self.cast.payments if situation.same_tenancy else self.cast.secrets

    def _changes(self) -> dict[str, Callable[[Any], object]]:
        bob = Member.objects.filter(pk=self.cast.bob.pk)
        user = User.objects.filter(pk=self.cast.bob.user_id)
        return {
            "member_active": lambda on: bob.update(is_active=on),
            "user_active": lambda on: user.update(is_active=on),
            "membership": self._set_membership,
            "group_active": lambda on: MessengerGroup.objects.update(is_active=on),
            "topic_active": lambda on: Topic.objects.update(is_active=on),
            "messenger_enabled": lambda on: Tenancy.objects.update(messenger_enabled=on),
            "is_administrator": lambda on: bob.update(is_administrator=on),
            "is_messenger_manager": lambda on: bob.update(is_messenger_manager=on),
        }

    def _set_membership(self, state: str) -> None:
        columns: dict[str, Any] = {"group": self.cast.payroll, "member": self.cast.bob}
        GroupMembership.objects.filter(group=self.cast.payroll, member=self.cast.bob).delete()
        if state != "never":
            now = timezone.now()
            if state == "ended":
                columns |= {"left_at": now, "left_roster": 1}
            GroupMembership.objects.create(tenancy=self.cast.northwind, joined_at=now, **columns)


@pytest.fixture
def stage(cast: Cast) -> Stage:
    post(cast.payments, cast.alice)
    post(cast.secrets, cast.erin)
    return Stage(cast)


def situations_on(stage: Stage) -> Iterator[tuple[Situation, Member, Topic]]:
    for situation in SITUATIONS:
        yield situation, *stage.set_up(situation)


def test_a_member_sees_a_topic_exactly_when_they_are_among_its_readers(stage: Stage) -> None:
    results = set()
    for situation, member, topic in situations_on(stage):
        sees = Topic.objects.visible_to(member).contains(topic)
        assert sees is situation.reads, situation
        assert topic.readers().contains(member) is sees, situation
        results.add(sees)
    assert results == {True, False}, "both results occurred, or the test proves nothing"


def test_streams_and_messages_follow_the_same_rule(stage: Stage) -> None:
    for situation, member, topic in situations_on(stage):
        pairs = set(readable_revisions([member.pk], [topic.pk]))
        assert pairs == ({(member.pk, topic.pk)} if situation.reads else set()), situation
        assert Message.objects.visible_to(member).filter(topic=topic).exists() is situation.reads, situation


def test_a_messenger_manager_manages_the_topics_of_their_groups_including_inactive_ones(stage: Stage) -> None:
    results = set()
    for situation, member, topic in situations_on(stage):
        manages = Topic.objects.manageable_by(member).contains(topic)
        assert manages is (situation.is_in_force and situation.is_messenger_manager), situation
        results.add((manages, situation.topic_active))
    assert (True, False) in results, "an inactive topic occurred, or the test proves nothing"


def test_seeing_and_managing_a_group_does_not_depend_on_its_topics(stage: Stage) -> None:
    for situation, member, topic in situations_on(stage):
        group = topic.group
        manages = situation.is_in_force and situation.is_messenger_manager
        assert MessengerGroup.objects.visible_to(member).contains(group) is situation.is_in_force, situation
        assert MessengerGroup.objects.manageable_by(member).contains(group) is manages, situation


def test_administrators_see_every_group_of_their_tenancy_in_the_list_and_others_their_own(stage: Stage) -> None:
    for situation, member, topic in situations_on(stage):
        listed = situation.same_tenancy if situation.is_administrator else situation.is_in_force
        assert MessengerGroup.objects.listed_for(member).contains(topic.group) is listed, situation


def test_roles_give_no_access_to_threads(cast: Cast) -> None:
    for outsider in (cast.charlie, cast.dana, cast.mallory):
        assert outsider.tenancy == cast.payments.group.tenancy, "same client, or the test proves nothing"
        assert not Topic.objects.visible_to(outsider).contains(cast.payments)
        assert not Topic.objects.manageable_by(outsider).contains(cast.payments)
    assert Topic.objects.manageable_by(cast.mallory).contains(cast.pensions), "she manages topics in her own group"


def test_members_reach_nothing_of_another_client(cast: Cast) -> None:
    assert list(Topic.objects.visible_to(cast.erin)) == [cast.secrets]
    assert list(Topic.objects.manageable_by(cast.erin)) == [cast.secrets]
    assert list(MessengerGroup.objects.listed_for(cast.erin)) == [cast.foreign]
    assert set(MessengerGroup.objects.listed_for(cast.dana)) == {cast.payroll, cast.benefits}


def test_a_user_in_two_tenancies_has_the_access_of_the_current_member_only(cast: Cast) -> None:
    erin_in_northwind = Member.objects.create(tenancy=cast.northwind, user=cast.erin.user, name="Erin Eklund")
    assert Topic.objects.visible_to(cast.erin).contains(cast.secrets)
    assert not Topic.objects.visible_to(erin_in_northwind).exists()


def test_the_access_of_many_streams_is_checked_in_one_query(cast: Cast, django_assert_num_queries: Any) -> None:
    members = [cast.alice, cast.bob, cast.charlie, cast.dana, cast.mallory, cast.erin]
    topics = [cast.payments, cast.pensions, cast.secrets]
    with django_assert_num_queries(1):
        revisions = readable_revisions([member.pk for member in members], [topic.pk for topic in topics])
    assert revisions == {
        (member.pk, topic.pk): topic.revision
        for member in members
        for topic in topics
        if Topic.objects.visible_to(member).contains(topic)
    }
    assert len(revisions) == 4, "Alice and Bob, Mallory, Erin"


def test_a_member_who_rejoined_counts_once(cast: Cast) -> None:
    joined = timezone.now()
    GroupMembership.objects.filter(member=cast.bob).update(left_at=joined, left_roster=1)
    rejoined = {"joined_at": joined, "joined_roster": 1}
    GroupMembership.objects.create(tenancy=cast.northwind, group=cast.payroll, member=cast.bob, **rejoined)
    assert Topic.objects.visible_to(cast.bob).count() == 1
    assert set(cast.payments.readers()) == {cast.alice, cast.bob}
    assert cast.payments.readers().count() == 2


def people(topic: Topic) -> int:
    clear_audience_cache()
    return audience_of(topic).people


def member_count(group: MessengerGroup) -> int:
    counted: Any = MessengerGroup.objects.with_member_count().get(pk=group.pk)
    return counted.member_count


def test_the_audience_counts_the_readers(cast: Cast) -> None:
    assert people(cast.payments) == cast.payments.readers().count() == 2
    Member.objects.filter(pk=cast.bob.pk).update(is_active=False)
    assert people(cast.payments) == cast.payments.readers().count() == 1
    assert member_count(cast.payroll) == 2, "the list of its users shows members, active or not"


def test_an_empty_group_has_no_members_and_no_readers(cast: Cast) -> None:
    empty = MessengerGroup.objects.create(tenancy=cast.northwind, name="Empty")
    topic = make_topic(empty, "Alone")
    assert member_count(empty) == 0
    assert not topic.readers().exists()
