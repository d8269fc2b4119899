"""The record of a message: which members of the group at the time of posting were e-mailed, and why others were not."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from common.folding import fold
from messenger.models import CatchUp, CatchUpTopic, Delivery, Message
from messenger.notifications.explanations.wording import delivery_in_words
from messenger.notifications.recipients import members_at
from tenancy.models import Member

PAGE_LENGTH = 100


@dataclass(frozen=True)
class Line:
    """What one member of the group received."""

    name: str
    state: str  # of Delivery.State; "" without a delivery
    words: str
    at: datetime | None  # when the mail was sent
    catch_up_at: datetime | None  # when a catch-up mail counted the message
    is_reader: bool


@dataclass(frozen=True)
class Record:
    lines: Sequence[Line]
    people: int  # members of the group at the time of posting
    joined_later: int  # readers today who were not members then
    has_more: bool

    @property
    def is_long(self) -> bool:
        """Whether it has several pages without a search."""
        return self.people > PAGE_LENGTH


def record_of(message: Message, reader: Member, page: int, words: str = "") -> Record:
    """One page (from 1) of the group's members at the time of posting, by name; page 1 begins with the reader.

    If there are `words`, only members whose names contain them have lines. A page after the last one has no lines.
    """
    everyone = members_at(message)
    members = everyone.filter(folded_name__contains=fold(words)) if words else everyone
    start = (page - 1) * PAGE_LENGTH
    others = list(members.exclude(pk=reader.pk).by_name()[start : start + PAGE_LENGTH + 1])
    has_more = len(others) > PAGE_LENGTH
    on_page = [*(members.filter(pk=reader.pk) if page == 1 else ()), *others[:PAGE_LENGTH]]
    deliveries = {row.member_id: row for row in Delivery.objects.filter(message=message, member__in=on_page)}
    caught_up = _caught_up(message, on_page)
    return Record(
        lines=[
            _line(message, member, deliveries.get(member.pk), caught_up.get(member.pk), reader) for member in on_page
        ],
        people=everyone.count(),
        joined_later=message.topic.readers().exclude(pk__in=everyone.values("pk")).count(),
        has_more=has_more,
    )


def _caught_up(message: Message, members: Collection[Member]) -> dict[int, datetime]:
    """By member id, when a catch-up mail counted the message; members without one are left out."""
    counted = CatchUpTopic.objects.filter(
        topic=message.topic_id,
        after_sequence__lt=message.sequence,
        up_to_sequence__gte=message.sequence,
        catch_up__member__in=members,
        catch_up__state=CatchUp.State.SENT,
    )
    return dict(counted.values_list("catch_up__member", "catch_up__settled_at"))


def _line(
    message: Message, member: Member, delivery: Delivery | None, caught_up_at: datetime | None, reader: Member
) -> Line:
    is_sent = delivery is not None and delivery.state == Delivery.State.SENT
    is_author = member.pk == message.author_id
    return Line(
        name=member.name,
        state=delivery.state if delivery else "",
        words=delivery_in_words(delivery) if delivery else _without_delivery(message, is_author),
        at=delivery.settled_at if delivery and is_sent else None,
        catch_up_at=None if is_sent or is_author else caught_up_at,
        is_reader=member.pk == reader.pk,
    )


def _without_delivery(message: Message, is_author: bool) -> str:
    if message.outcome == Message.Outcome.EMAIL:
        return _("E-mail is about to be sent")
    return _("Not e-mailed: wrote the message") if is_author else _("Not e-mailed")
