"""One look at the database for many open streams: who may still listen, and what is new for those who may.

All of a look is one snapshot. So nobody is handed a message who could not have opened the topic at the moment at
which the message was there to be handed out (docs/decisions/0025-streams-carry-rows.md).
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection, transaction
from django.utils import timezone, translation

from accounts.sessions import STILL_OPEN
from messenger.audience import audience_of
from messenger.forecast_line import ForecastLine
from messenger.models import MailChoice, Topic, TopicMute
from messenger.querysets import readable_revisions
from messenger.rows import ANYBODY, Reader
from messenger.threads import changes


@dataclass(frozen=True, slots=True)
class Admission:
    """Whose stream it is and how they see things, as it was when the stream opened."""

    session_key: str
    password: str | None  # hashed; None where the session does not know its user
    member_id: int
    topic_id: int
    language: str
    time_zone: str
    slug: str


@dataclass(frozen=True, slots=True)
class News:
    revision: int
    event: bytes


class End(Enum):
    """Why somebody may not listen any more."""

    NO_ACCESS = "no access"
    SIGNED_OUT = "signed out"


def look(listening: Sequence[tuple[Admission, int]]) -> list[News | End | None]:
    """For each of these, with the revision that they were told last: what is new, if anything is."""
    with _one_snapshot():
        sessions = dict(STILL_OPEN([admission.session_key for admission, _ in listening], timezone.now()))
        revisions = readable_revisions(
            {admission.member_id for admission, _ in listening}, {admission.topic_id for admission, _ in listening}
        )
        told: list[News | End | None] = []
        writer = _Writer()
        for admission, since in listening:
            revision = revisions.get((admission.member_id, admission.topic_id))
            if admission.session_key not in sessions or sessions[admission.session_key] != admission.password:
                told.append(End.SIGNED_OUT)
            elif revision is None:
                told.append(End.NO_ACCESS)
            else:
                told.append(News(revision, writer.event(admission, since)) if revision > since else None)
        return told


@contextmanager
def _one_snapshot() -> Iterator[None]:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def changed_event(revision: int, **content: int | str | dict[str, Any]) -> bytes:
    data = json.dumps({"revision": revision, **content}, separators=(",", ":"), ensure_ascii=False)
    return f"id: {revision}\nevent: changed\ndata: {data}\n\n".encode()


class _Writer:
    """Writes the events of one look, each distinct one once: most readers of a busy thread are told the same."""

    def __init__(self) -> None:
        self._subjects: dict[int, _Subject] = {}
        self._changes: dict[tuple[int, int], _Change] = {}

    def event(self, admission: Admission, since: int) -> bytes:
        """For somebody who passed the check of the same look."""
        found = self._changes.get((admission.topic_id, since))
        if found is None:
            subject = self._subjects.get(admission.topic_id) or _Subject(admission.topic_id)
            self._subjects[admission.topic_id] = subject
            found = self._changes[admission.topic_id, since] = _Change(subject, since)
        return found.event(admission)


class _Change:
    """What changed in a topic since a revision."""

    def __init__(self, subject: "_Subject", since: int) -> None:
        self._subject, self._since = subject, since
        self._changes = changes(subject.topic.pk, since)
        self._concerned = self._changes.concerned
        self._is_too_much = self._changes.is_more_than_a_page
        self._events: dict[tuple[int, int, str, str], bytes] = {}

    def event(self, admission: Admission) -> bytes:
        recipients = self._subject.recipients(admission.member_id)
        whose = admission.member_id if admission.member_id in self._concerned else ANYBODY
        key = (recipients, whose, admission.language, admission.time_zone)
        found = self._events.get(key)
        if found is None:
            found = self._events[key] = self._write(admission, whose, recipients)
        return found

    def _write(self, admission: Admission, whose: int, recipients: int) -> bytes:
        revision = self._subject.topic.revision
        if self._is_too_much:
            return changed_event(revision)
        with translation.override(admission.language), timezone.override(ZoneInfo(admission.time_zone)):
            html = self._changes.html(Reader.at(admission.slug, admission.topic_id, whose))
            # In words: dressed with its icons it would be twice as long as the message, a thousand times over.
            forecast = asdict(self._subject.forecast(recipients))
        return changed_event(revision, since=self._since, html=html, forecast=forecast)


class _Subject:
    """A topic, and what its next message would do for each of its readers."""

    def __init__(self, topic_pk: int) -> None:
        self.topic = Topic.objects.get(pk=topic_pk)
        self._audience = audience_of(self.topic)
        self._muted = set(TopicMute.objects.filter(topic=topic_pk).values_list("member", flat=True))
        wanting = MailChoice.objects.filter(own_messages=True, member__tenancy=self.topic.tenancy_id)
        self._wanting_own = set(wanting.values_list("member", flat=True))

    def recipients(self, member_id: int) -> int:
        """How many would be mailed a message of theirs."""
        return self._audience.recipients(is_muted=member_id in self._muted, wants_own=member_id in self._wanting_own)

    def forecast(self, recipients: int) -> ForecastLine:
        self.topic.recipients = recipients  # type: ignore[attr-defined]
        return ForecastLine.of(self.topic)
