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
from common.folding import fold
from messenger.models import MessengerGroup, Topic
from messenger.search.form_fields import Choice, FieldValues
from messenger.search.scope import Cursor, Scope
from messenger.topics.listing import ReadGroup
from tenancy.models import Member

TEXT_MAX_LENGTH, NAME_MAX_LENGTH = 200, 120
MAX_DIGITS = 18  # of an id
# A list of thousands of topics is no help. The other topics can be searched from their own pages.
OFFERED_TOPICS = 100
# The fields that narrow the search down.
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


class FieldState(NamedTuple):
    """What the user entered in a field, and its errors."""

    value: str = ""
    errors: tuple[str, ...] = ()
    takes_focus: bool = False


class TopicChoice(NamedTuple):
    pk: int
    name: str
    group: int
    length: int  # how many messages it contains at most


class IdField(forms.Field):
    """An id. Anything else is an invalid choice, as if nothing had this id."""

    def to_python(self, value: str | None) -> int | None:
        if not value:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS):
            raise ValidationError(self.error_messages["invalid_choice"], "invalid_choice")
        return int(value)


class SearchForm(forms.Form):
    """Words and filters of a search. It reveals nothing that its reader may not read."""

    q = forms.CharField(label=gettext_lazy("Search for"), required=False, max_length=TEXT_MAX_LENGTH)
    # Hidden groups and topics get the same message as those that do not exist.
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
        own_groups = [group.pk for group in self.groups]
        if data.get("group") and data["group"] not in own_groups:
            self._reject("group")
        self.searched_groups = [data["group"]] if data.get("group") else own_groups
        topics = CHOSEN(data["topic"], own_groups) if data.get("topic") else []
        chosen = [TopicChoice._make(values) for values in topics]
        if data.get("topic") and not chosen:
            self._reject("topic")
        self._offer_topics(chosen)
        if chosen and chosen[0].group not in self.searched_groups:
            said = _("This topic is in another messenger group. Change the group or the topic.")
            self.add_error("topic", ValidationError(said))
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", ValidationError(_("The end date is before the start date. Choose a later one.")))
        return data

    def _reject(self, name: str) -> None:
        self.add_error(name, ValidationError(self.fields[name].error_messages["invalid_choice"], "invalid_choice"))
        self.cleaned_data[name] = None

    def _offer_topics(self, chosen: list[TopicChoice]) -> None:
        latest = LATEST(self.reader.tenancy_id, self.searched_groups)
        self.offers_all_topics = len(latest) <= OFFERED_TOPICS
        self.searched_topics = chosen or (list(map(TopicChoice._make, latest)) if self.offers_all_topics else None)
        self.offered = frozenset(Choice(pk, name) for pk, name, *_ in [*latest[:OFFERED_TOPICS], *chosen])

    def scope(self, before: Cursor | None) -> Scope:
        """The messages to search, as chosen in a valid form; `before` is where the page begins."""
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
        """Members with this in their name who are, or were, in one of the reader's groups.

        Members of other groups are left out; they could not have written anything that the reader may read.
        """
        groups = MessengerGroup.objects.visible_to(self.reader)
        people = Member.objects.filter(tenancy=self.reader.tenancy_id, folded_name__contains=fold(name))
        return list(people.filter(group_memberships__group__in=groups).distinct().values_list("pk", flat=True))

    # -- HTML ------------------------------------------------------------------------

    @property
    def summary(self) -> str:
        """The errors above the fields."""
        return render_to_string("_errors.html", {"form": self}) if self.errors else ""

    @property
    def words(self) -> bytes:
        """The field for the words."""
        state = self._state("q")
        if state.errors:  # no skeleton: errors differ too much for a cache
            context = {"field": _words(state, get_language() or ""), "value": state.value}
            return render_to_string(FIELD, context).encode()
        return render_skeleton(FIELD, {"field": _words(FieldState(), get_language() or "")}, {"value": state.value})

    @property
    def narrowing(self) -> bytes:
        """The fields that narrow the search down, open if one of them is filled in."""
        states = tuple(map(self._state, NARROWING))
        return _narrowing(states, tuple(self.groups), self.offered, self.offers_all_topics, get_language() or "")

    def _state(self, name: str) -> FieldState:
        value = self.data.get(name, "")
        if not self.errors:
            return FieldState(value)
        errors = tuple(map(str, self.errors.get(name, ())))
        first_with_errors = next((field for field in self.fields if field in self.errors), None)
        return FieldState(value, errors, takes_focus=name == first_with_errors)


@lru_cache(maxsize=20)
def _words(state: FieldState, language: str) -> FieldValues:
    """Without the value, which is filled in later. `language` is the active one, here as part of the cache key."""
    help_text = _(
        "Finds messages that contain all of these words; the last one may be incomplete. Use “quotation marks” for an "
        "exact phrase, -word to exclude a word, and “or” between words to find either."
    )
    return _field("q", "search", state._replace(value=""), max_length=TEXT_MAX_LENGTH, help=help_text)


# A small cache: with a hundred topics an entry takes 12 kB, and hardly two people share one.
@lru_cache(maxsize=200)
def _narrowing(
    states: tuple[FieldState, ...],
    groups: tuple[ReadGroup, ...],
    topics: frozenset[Choice],
    is_complete: bool,
    language: str,
) -> bytes:
    """The fields that narrow the search down. `is_complete`: `topics` are all there are; `language` as above."""
    group, topic, author, since, until = states
    latest = _("Topics with the latest messages. To search another topic, open it and start the search there.")
    only_latest = "" if is_complete else latest
    offered = tuple(sorted(topics, key=lambda topic: (topic.name.casefold(), topic.pk)))
    fields = (
        _field("group", "select", group, choices=groups, empty_label=_("All groups")),
        _field("topic", "select", topic, choices=offered, empty_label=_("All topics"), help=only_latest),
        _field("author", "text", author, max_length=NAME_MAX_LENGTH, placeholder=_("Name or part of it")),
        _field("since", "date", since),
        _field("until", "date", until),
    )
    context = {"fields": fields, "is_open": any(state.value for state in states)}
    return render_to_string("messenger/search/_search_narrow.html", context).encode()


def _field(name: str, kind: str, state: FieldState, **more: Any) -> FieldValues:
    label = str(SearchForm.base_fields[name].label)
    return FieldValues(name, kind, label, state.value, errors=state.errors, takes_focus=state.takes_focus, **more)


def _midnight(day: date) -> datetime:
    """When a day begins in the reader's time zone."""
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
