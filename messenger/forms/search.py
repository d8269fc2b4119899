from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from ippex_messenger.forms import PageFormMixin
from ippex_messenger.prepared import Prepared
from messenger.forms.shown import Choice, Shown
from messenger.models import MessengerGroup, Topic
from messenger.search import Cursor, Scope
from messenger.topic_list import ReadGroup
from tenancy.models import Member

TEXT_MAX_LENGTH, NAME_MAX_LENGTH = 200, 120
MAX_DIGITS = 18  # of an id
# A list of thousands of topics helps nobody; the others are searched from their own page.
OFFERED_TOPICS = 100


LATEST = Prepared(
    "latest_topics",
    lambda tenancy, groups: (
        Topic.objects.active_in(groups)
        .filter(tenancy=tenancy)
        .latest_first()
        .values_list("pk", "name", "group", "last_sequence")[: OFFERED_TOPICS + 1]
    ),
    "bigint",
    "bigint[]",
)
CHOSEN = Prepared(
    "topic_to_search",
    lambda topic, groups: (
        Topic.objects.active_in(groups).filter(pk=topic).values_list("pk", "name", "group", "last_sequence")
    ),
    "bigint",
    "bigint[]",
)


class FoundTopic(NamedTuple):
    pk: int
    name: str
    group: int
    length: int


class IdField(forms.Field):
    """An id, or what is none: then there is no such thing."""

    def to_python(self, value: str | None) -> int | None:
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise ValidationError(self.error_messages["invalid_choice"], "invalid_choice")
        return int(value)


class SearchForm(PageFormMixin, forms.Form):
    """What to look for, and where; nothing of it names what its reader does not read."""

    q = forms.CharField(label=gettext_lazy("Words"), required=False, max_length=TEXT_MAX_LENGTH)
    # The same words whether it is hidden or not there.
    group = IdField(
        label=gettext_lazy("Messenger group"),
        required=False,
        error_messages={"invalid_choice": gettext_lazy("There is no such group among yours.")},
    )
    topic = IdField(
        label=gettext_lazy("Topic"),
        required=False,
        error_messages={"invalid_choice": gettext_lazy("There is no such topic among yours.")},
    )
    author = forms.CharField(label=gettext_lazy("Written by"), required=False, max_length=NAME_MAX_LENGTH)
    since = forms.DateField(label=gettext_lazy("From"), required=False)
    until = forms.DateField(label=gettext_lazy("Up to"), required=False)

    def __init__(self, *args: Any, reader: Member, groups: list[ReadGroup], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = reader
        self.groups = [Choice(group.pk, group.name) for group in groups]
        self.offered: list[Choice] = []  # topics
        self.offers_all_topics = True

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        mine = [group.pk for group in self.groups]
        if data.get("group") and data["group"] not in mine:
            self._has_no_such("group")
        self.searched_groups = [data["group"]] if data.get("group") else mine
        chosen = [FoundTopic._make(values) for values in CHOSEN(data["topic"], mine)] if data.get("topic") else []
        if data.get("topic") and not chosen:
            self._has_no_such("topic")
        self._offer_topics(chosen)
        if chosen and chosen[0].group not in self.searched_groups:
            self.add_error("topic", ValidationError(_("This topic belongs to another group.")))
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", ValidationError(_("This is before the first day.")))
        return data

    def _has_no_such(self, name: str) -> None:
        self.add_error(name, ValidationError(self.fields[name].error_messages["invalid_choice"], "invalid_choice"))
        self.cleaned_data[name] = None

    def _offer_topics(self, chosen: list[FoundTopic]) -> None:
        latest = [FoundTopic._make(values) for values in LATEST(self.reader.tenancy_id, self.searched_groups)]
        self.offers_all_topics = len(latest) <= OFFERED_TOPICS
        self.searched_topics = chosen or (latest if self.offers_all_topics else None)
        offered = {Choice(topic.pk, topic.name) for topic in [*latest[:OFFERED_TOPICS], *chosen]}
        self.offered = sorted(offered, key=lambda topic: (topic.name.casefold(), topic.pk))

    def scope(self, before: Cursor | None) -> Scope:
        """Among which messages, as chosen; the form is valid."""
        data, topics = self.cleaned_data, self.searched_topics
        until = data["until"]
        return Scope(
            groups=self.searched_groups,
            topics=None if topics is None else [topic.pk for topic in topics],
            length=None if topics is None else sum(topic.length for topic in topics),
            authors=self._authors(data["author"]) if data["author"] else None,
            since=_midnight(data["since"]) if data["since"] else None,
            until=_midnight(until + timedelta(days=1)) if until and until < date.max else None,
            before=before,
        )

    def _authors(self, name: str) -> list[int]:
        """Whoever of this name is or was in one of the reader's groups; who never wrote there is never found."""
        groups = MessengerGroup.objects.visible_to(self.reader)
        people = Member.objects.filter(tenancy=self.reader.tenancy_id, name__icontains=name)
        return list(people.filter(group_memberships__group__in=groups).distinct().values_list("pk", flat=True))

    # -- As the page shows it ---------------------------------------------------------------------------------

    @property
    def words(self) -> Shown:
        help_text = _(
            "All of these words; the last one may be the beginning of a word. “Words in quotation marks” stand side "
            "by side, -word leaves out messages with it, or finds either."
        )
        return self._shown("q", "search", max_length=TEXT_MAX_LENGTH, help=help_text)

    @property
    def where(self) -> tuple[Shown, ...]:
        """The fields that narrow it down: group, topic and author, from when to when."""
        only_latest = _("Those with the latest messages. To search in another one, open it first.")
        offered = {"choices": tuple(self.offered), "every": _("All topics")}
        return (
            self._shown("group", "select", choices=tuple(self.groups), every=_("All groups")),
            self._shown("topic", "select", **offered, help="" if self.offers_all_topics else only_latest),
            self._shown("author", "text", max_length=NAME_MAX_LENGTH, placeholder=_("Name or part of it")),
            self._shown("since", "date"),
            self._shown("until", "date"),
        )

    @property
    def narrowing(self) -> SafeString:
        """These fields as HTML, open where one of them is filled in."""
        is_open = any(self.data.get(name) for name in self.fields if name != "q")
        return _narrowing(self.where, is_open, get_language() or "")

    def _shown(self, name: str, kind: str, **more: Any) -> Shown:
        errors = tuple(map(str, self.errors.get(name, ())))
        takes_focus = bool(errors) and name == next(each for each in self.fields if each in self.errors)
        value = self.data.get(name, "")
        label = str(self.fields[name].label)
        return Shown(name, kind, label, value, errors=errors, takes_focus=takes_focus, **more)


# Fewer than other pieces of pages: with a hundred topics each is 12 kB, and not two people have the same.
@lru_cache(maxsize=200)
def _narrowing(fields: tuple[Shown, ...], is_open: bool, language: str) -> SafeString:
    """In the active language: it only tells what was kept apart."""
    return render_to_string("messenger/_search_narrow.html", {"fields": fields, "is_open": is_open})


def _midnight(day: date) -> datetime:
    """When a day begins where the reader is."""
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
