from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ippex_messenger.forms import PageFormMixin, QuickSelect
from ippex_messenger.prepared import Prepared
from messenger.models import MessengerGroup, Topic
from messenger.search import Cursor, Scope
from messenger.topic_list import ReadGroup
from tenancy.models import Member

TEXT_MAX_LENGTH = 200
# A list of thousands of topics helps nobody; the others are searched from their own page.
OFFERED_TOPICS = 100


# The same words whether it is hidden or not there.
NO_SUCH_GROUP = {"invalid_choice": _("There is no such group among yours.")}
NO_SUCH_TOPIC = {"invalid_choice": _("There is no such topic among yours.")}


LATEST = Prepared(
    "latest_topics",
    lambda tenancy, groups: (
        Topic.objects.active_in(groups)
        .filter(tenancy=tenancy)
        .latest_first()
        .values_list("pk", "name")[: OFFERED_TOPICS + 1]
    ),
    "bigint",
    "bigint[]",
)


class SearchForm(PageFormMixin, forms.Form):
    """What to look for, and where; nothing of it names what its reader does not read."""

    q = forms.CharField(
        label=_("Words"),
        required=False,
        max_length=TEXT_MAX_LENGTH,
        help_text=_(
            "All of these words; the last one may be the beginning of a word. “Words in quotation marks” stand side "
            "by side, -word leaves out messages with it, or finds either."
        ),
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off", "data-shortcut": "search"}),
    )
    group = forms.ModelChoiceField(
        MessengerGroup.objects.none(),
        label=_("Messenger group"),
        required=False,
        error_messages=NO_SUCH_GROUP,
        widget=QuickSelect,
    )
    topic = forms.ModelChoiceField(
        Topic.objects.none(),
        label=_("Topic"),
        required=False,
        error_messages=NO_SUCH_TOPIC,
        widget=QuickSelect,
    )
    author = forms.CharField(
        label=_("Written by"),
        required=False,
        max_length=120,
        widget=forms.TextInput(attrs={"placeholder": _("Name or part of it"), "autocomplete": "off"}),
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))
    until = forms.DateField(label=_("Up to"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))

    def __init__(self, *args: Any, reader: Member, groups: list[ReadGroup], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reader = reader
        self.groups = groups
        self.fields["group"].queryset = MessengerGroup.objects.visible_to(reader).by_name()  # type: ignore[attr-defined]
        self.fields["group"].choices = [("", _("All groups")), *groups]  # type: ignore[attr-defined]
        self.fields["topic"].queryset = Topic.objects.visible_to(reader)  # type: ignore[attr-defined]
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-select" if isinstance(field.widget, forms.Select) else "form-control"

    def full_clean(self) -> None:
        super().full_clean()
        for name in self.fields.keys() & self.errors.keys():
            self.fields[name].widget.attrs["class"] += " is-invalid"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        group, topic = data.get("group"), data.get("topic")
        self._offer_topics(group, topic)
        if group and topic and topic.group_id != group.pk:
            self.add_error("topic", ValidationError(_("This topic belongs to another group.")))
        if data.get("since") and data.get("until") and data["since"] > data["until"]:
            self.add_error("until", ValidationError(_("This is before the first day.")))
        return data

    def _offer_topics(self, group: MessengerGroup | None, chosen: Topic | None) -> None:
        self.searched_groups = [group.pk] if group else [each.pk for each in self.groups]
        offered = dict(LATEST(self.reader.tenancy_id, self.searched_groups))
        field = self.fields["topic"]
        self.searched_topics = [chosen.pk] if chosen else None
        if len(offered) <= OFFERED_TOPICS:
            self.searched_topics = self.searched_topics or list(offered)
        else:
            offered.popitem()
            field.help_text = _("Those with the latest messages. To search in another one, open it first.")
        if chosen:
            offered[chosen.pk] = chosen.name
        by_name = sorted(offered.items(), key=lambda item: item[1].casefold())
        field.choices = [("", _("All topics")), *by_name]  # type: ignore[attr-defined]

    def scope(self, before: Cursor | None) -> Scope:
        """Among which messages, as chosen; the form is valid."""
        data = self.cleaned_data
        until = data["until"]
        return Scope(
            groups=self.searched_groups,
            topics=self.searched_topics,
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


def _midnight(day: date) -> datetime:
    """When a day begins where the reader is."""
    return datetime.combine(day, time.min, tzinfo=timezone.get_current_timezone())
