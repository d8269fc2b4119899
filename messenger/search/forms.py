from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from common.caching.page_cache import render_skeleton
from common.database.prepared import Prepared
from messenger.models import MessengerGroup, Topic
from messenger.search.form_fields import Choice, FieldValues
from messenger.search.scope import Cursor, Scope
from messenger.topics.listing import ReadGroup
from tenancy.models import Member

TEXT_MAX_LENGTH, NAME_MAX_LENGTH = 200, 120
MAX_DIGITS = 18  # of an id
# A list of thousands of topics helps nobody; the others are searched from their own page.
OFFERED_TOPICS = 100
# The fields that narrow it down.
NARROWING = ("group", "topic", "author", "since", "until")
FIELD = "messenger/search/_search_field.html"


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


class Filled(NamedTuple):
    """What stands in a field, and what is wrong with it."""

    value: str = ""
    errors: tuple[str, ...] = ()
    takes_focus: bool = False


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


class SearchForm(forms.Form):
    """What to look for, and where; nothing of it names what its reader does not read."""

    q = forms.CharField(label=gettext_lazy("Search for"), required=False, max_length=TEXT_MAX_LENGTH)
    # The same words whether it is hidden or not there.
    group = IdField(
        label=gettext_lazy("Messenger group"),
        required=False,
        error_messages={"invalid_choice": gettext_lazy("Choose one of your messenger groups.")},
    )
    topic = IdField(
        label=gettext_lazy("Topic"),
        required=False,
        error_messages={"invalid_choice": gettext_lazy("Choose one of your topics.")},
    )
    author = forms.CharField(label=gettext_lazy("Written by"), required=False, max_length=NAME_MAX_LENGTH)
    since = forms.DateField(label=gettext_lazy("Start date"), required=False)
    until = forms.DateField(label=gettext_lazy("End date"), required=False)

    def __init__(self, *args: Any, reader: Member, groups: list[ReadGroup], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = reader
        self.groups = groups
        self.offered: frozenset[Choice] = frozenset()  # topics
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
            said = _("This topic is in another messenger group. Change the group or the topic.")
            self.add_error("topic", ValidationError(said))
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", ValidationError(_("The end date is before the start date. Choose a later one.")))
        return data

    def _has_no_such(self, name: str) -> None:
        self.add_error(name, ValidationError(self.fields[name].error_messages["invalid_choice"], "invalid_choice"))
        self.cleaned_data[name] = None

    def _offer_topics(self, chosen: list[FoundTopic]) -> None:
        latest = LATEST(self.reader.tenancy_id, self.searched_groups)
        self.offers_all_topics = len(latest) <= OFFERED_TOPICS
        self.searched_topics = chosen or (list(map(FoundTopic._make, latest)) if self.offers_all_topics else None)
        self.offered = frozenset(Choice(pk, name) for pk, name, *_ in [*latest[:OFFERED_TOPICS], *chosen])

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

    # -- As the page shows it, in HTML ------------------------------------------------------------------------

    @property
    def summary(self) -> str:
        """What is wrong, above the fields."""
        return render_to_string("_errors.html", {"form": self}) if self.errors else ""

    @property
    def words(self) -> bytes:
        filled = self._filled("q")
        if filled.errors:  # of which there is no end of different ones
            context = {"field": _words(filled, get_language() or ""), "value": filled.value}
            return render_to_string(FIELD, context).encode()
        return render_skeleton(FIELD, {"field": _words(Filled(), get_language() or "")}, {"value": filled.value})

    @property
    def narrowing(self) -> bytes:
        """The fields that narrow it down, open where one of them is filled in."""
        filled = tuple(map(self._filled, NARROWING))
        return _narrowing(filled, tuple(self.groups), self.offered, self.offers_all_topics, get_language() or "")

    def _filled(self, name: str) -> Filled:
        value = self.data.get(name, "")
        if not self.errors:
            return Filled(value)
        errors = tuple(map(str, self.errors.get(name, ())))
        return Filled(value, errors, bool(errors) and name == next(each for each in self.fields if each in self.errors))


@lru_cache(maxsize=20)
def _words(filled: Filled, language: str) -> FieldValues:
    """In the active language: it only tells what was kept apart. Without the value, which is filled in."""
    help_text = _(
        "Finds messages that contain all of these words; the last one may be incomplete. Use “quotation marks” for an "
        "exact phrase, -word to exclude a word, and “or” between words to find either."
    )
    return _field("q", "search", filled._replace(value=""), max_length=TEXT_MAX_LENGTH, help=help_text)


# Fewer than other pieces of pages: with a hundred topics each is 12 kB, and not two people have the same.
@lru_cache(maxsize=200)
def _narrowing(
    filled: tuple[Filled, ...], groups: tuple[ReadGroup, ...], topics: frozenset[Choice], is_all: bool, language: str
) -> bytes:
    """In the active language, as above; `is_all`: whether these are all topics."""
    group, topic, author, since, until = filled
    latest = _("Topics with the latest messages. To search another topic, open it and start the search there.")
    only_latest = "" if is_all else latest
    offered = tuple(sorted(topics, key=lambda topic: (topic.name.casefold(), topic.pk)))
    fields = (
        _field("group", "select", group, choices=groups, every=_("All groups")),
        _field("topic", "select", topic, choices=offered, every=_("All topics"), help=only_latest),
        _field("author", "text", author, max_length=NAME_MAX_LENGTH, placeholder=_("Name or part of it")),
        _field("since", "date", since),
        _field("until", "date", until),
    )
    context = {"fields": fields, "is_open": any(each.value for each in filled)}
    return render_to_string("messenger/search/_search_narrow.html", context).encode()


def _field(name: str, kind: str, filled: Filled, **more: Any) -> FieldValues:
    label = str(SearchForm.base_fields[name].label)
    return FieldValues(name, kind, label, filled.value, errors=filled.errors, takes_focus=filled.takes_focus, **more)


def _midnight(day: date) -> datetime:
    """When a day begins where the reader is."""
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
