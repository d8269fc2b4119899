from typing import Any, cast

from crispy_forms.layout import HTML, Div, Field, Fieldset, Layout
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from common.folding import skeleton
from common.forms import PageModelForm
from messenger.models import DEFAULT_INTERVAL_MINUTES, MessengerGroup, Topic
from messenger.topics.interval_field import IntervalField
from tenancy.models import Member

NAME_TAKEN = _("This messenger group already has a topic with this name. Choose another name.")


class TopicForm(PageModelForm):
    """Settings of an existing topic."""

    notification_interval = IntervalField(
        label=_("Notification interval"),
        initial=DEFAULT_INTERVAL_MINUTES,
        help_text=_(
            "A message is e-mailed only if at least this much time has passed since the previous message. "
            "With 0 minutes, every message is e-mailed. The maximum is 7 days."
        ),
    )

    class Meta:
        model = Topic
        fields: tuple[str, ...] = ("name", "notifications_enabled", "notification_interval", "is_active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        interval = self.fields["notification_interval"]
        if self.is_bound and not self.data.get("notifications_enabled"):
            # Browsers do not send a disabled field: the interval stays what it is.
            interval.required = not interval.widget.value_omitted_from_data(
                self.data, self.files, "notification_interval"
            )
        self.helper.layout = Layout(
            *[name for name in ("group",) if name in self.fields],
            "name",
            Div(
                HTML("{% include 'messenger/topics/_notification_help.html' %}"),
                Fieldset(_("Notifications"), "notifications_enabled", Field("notification_interval")),
                css_class="notification-settings",
            ),
            Fieldset(_("Status"), "is_active"),
        )

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        group = data.get("group") or self.instance.group_id
        name = data.get("name")
        if group and name and "name" in self.changed_data:
            namesakes = Topic.objects.filter(group=group, skeleton=skeleton(name)).exclude(pk=self.instance.pk)
            if namesakes.exists():
                self.add_error("name", ValidationError(NAME_TAKEN, code="unique"))
        return data


class IntervalForm(forms.Form):
    """The interval alone, validated while it is being typed."""

    notification_interval = IntervalField(error_messages={"required": _("Enter a number, for example 90 or 1.5.")})


class NewTopicForm(TopicForm):
    """A new topic. Its group cannot be changed later, because the history must stay with its readers."""

    class Meta(TopicForm.Meta):
        fields: tuple[str, ...] = ("group", *TopicForm.Meta.fields)

    def __init__(self, *args: Any, author: Member, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = MessengerGroup.objects.manageable_by(author).by_name()
        field = cast("forms.ModelChoiceField[MessengerGroup]", self.fields["group"])
        field.queryset = groups
        field.empty_label = _("Choose a group")
        field.help_text = _("Everyone in the group can read the topic. It can't be moved to another group later.")
        if len(groups) == 1:
            self.initial["group"] = groups[0].pk  # a model form ignores the field's own
