"""Tables and filters of Administration > User groups > Messenger users."""

from typing import Any

import django_tables2 as tables
from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from messenger.models import GroupMembership, MessengerGroup
from tenancy.tables import ByNameMixin, NamedFilter, roles_in_words, status_in_words


class GroupFilter(NamedFilter):
    search_fields = ("folded_name", "folded_description")

    class Meta:
        model = MessengerGroup
        fields: list[str] = []


class GroupTable(ByNameMixin, tables.Table):
    name = tables.Column(verbose_name=_("Messenger group"))
    member_count = tables.Column(verbose_name=_("Users"))
    is_active = tables.Column(verbose_name=_("Status"))

    class Meta:
        order_by = ("name",)
        template_name = "messenger/groups/_group_table.html"

    def value_is_active(self, record: MessengerGroup) -> str:
        return status_in_words(record.is_active)


class MembershipFilter(NamedFilter):
    search_fields = ("member__folded_name",)

    class Meta:
        model = GroupMembership
        fields: list[str] = []

    def with_status(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        can_enter = Q(member__is_active=True, member__user__is_active=True)
        return rows.filter(can_enter if value == "active" else ~can_enter)


class MembershipTable(tables.Table):
    name = tables.Column(accessor="member__name")
    joined_at = tables.Column(verbose_name=_("In the group since"))
    roles = tables.Column(empty_values=(), orderable=False, verbose_name=_("Roles"))

    class Meta:
        order_by = ("name",)
        template_name = "messenger/groups/_membership_table.html"

    def value_roles(self, record: GroupMembership) -> str:
        return roles_in_words(record.member)

    def value_joined_at(self, record: GroupMembership) -> str:
        return timezone.localtime(record.joined_at).isoformat(sep=" ", timespec="minutes")

    def order_name(self, rows: QuerySet[Any], is_descending: bool) -> tuple[QuerySet[Any], bool]:
        by_name = Lower("member__name").desc() if is_descending else Lower("member__name").asc()
        return rows.order_by(by_name, "pk"), True
