"""The tables of Administration: search, filter, sorting by column, pagination."""

import csv
from typing import TYPE_CHECKING, Any, cast

import django_tables2 as tables
from django import forms
from django.core.paginator import EmptyPage
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _
from django_filters import CharFilter, ChoiceFilter, FilterSet
from django_tables2 import RequestConfig

from common.addresses import readable_address, stored_address
from common.folding import fold
from tenancy.models import Member
from tenancy.pagination import page_number

PAGE_LENGTH = 50

if TYPE_CHECKING:
    from django.db.models import Field


class NamedFilter(FilterSet):
    """A search field and a status filter, for rows with a name that are active or inactive."""

    q = CharFilter(
        method="search",
        label=_("Search"),
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Search"), "maxlength": 120, "dir": "auto"}),
    )
    status = ChoiceFilter(
        method="with_status",
        label=_("Status"),
        empty_label=_("Active and inactive"),
        choices=[("active", _("Active")), ("inactive", _("Inactive"))],
    )

    search_fields: tuple[str, ...] = ("folded_name",)

    def search(self, rows: QuerySet[Model], _name: str, value: str) -> QuerySet[Model]:
        return rows.filter(self.condition(value))

    def condition(self, value: str) -> Q:
        """Whether one of the search fields, which are folded columns, contains the value."""
        condition = Q()
        for field in self.search_fields:
            condition |= Q(**{f"{field}__contains": fold(value)})
        return condition

    def with_status(self, rows: QuerySet[Model], _name: str, value: str) -> QuerySet[Model]:
        return rows.filter(is_active=value == "active")


class MemberFilter(NamedFilter):
    def condition(self, value: str) -> Q:
        return super().condition(value) | Q(user__email__contains=stored_address(value))

    def with_status(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        can_enter = Q(is_active=True, user__is_active=True)
        return rows.filter(can_enter if value == "active" else ~can_enter)

    class Meta:
        model = Member
        fields: list[str] = []


class ByNameMixin:
    """Sorts the column `name` ignoring case. The database itself sorts by code point."""

    def order_name(self, rows: QuerySet[Any], is_descending: bool) -> tuple[QuerySet[Any], bool]:
        by_name = Lower("name").desc() if is_descending else Lower("name").asc()
        return rows.order_by(by_name, "pk"), True


class MemberTable(ByNameMixin, tables.Table):
    name = tables.Column()
    email = tables.Column(accessor="user__email", verbose_name=_("E-mail address"))
    roles = tables.Column(empty_values=(), orderable=False, verbose_name=_("Roles"))
    is_active = tables.Column(verbose_name=_("Status"))

    class Meta:
        order_by = ("name",)
        template_name = "tenancy/_user_table.html"

    def value_email(self, record: Member) -> str:
        return readable_address(record.user.email)

    def value_roles(self, record: Member) -> str:
        return roles_in_words(record)

    def value_is_active(self, record: Member) -> str:
        return status_in_words(record.can_enter)


def as_csv(table: tables.Table, name: str) -> HttpResponse:
    """All rows of a table, searched, filtered and sorted as on the page, as a CSV file for a spreadsheet."""
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response.write("\ufeff")  # BOM: without it, spreadsheets assume Latin-1
    writer = csv.writer(response)
    writer.writerows([_escape_formula(cell) for cell in row] for row in table.as_values())
    return response


def _escape_formula(cell: Any) -> str:
    """The cell as text that a spreadsheet does not execute as a formula."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def status_in_words(is_active: bool) -> str:
    return translated("Active") if is_active else translated("Inactive")


def roles_in_words(member: Member) -> str:
    roles = [field for field in ("is_messenger_manager", "is_administrator") if getattr(member, field)]
    return ", ".join(str(cast("Field[Any, Any]", Member._meta.get_field(field)).verbose_name) for field in roles)


def listed(
    request: HttpRequest, filter_class: type[FilterSet], table_class: type[tables.Table], rows: QuerySet[Any]
) -> dict[str, Any]:
    """The template context of a table: `filter` and `table`, as the query string searches, filters, sorts and pages it.

    Raises Http404 if the page does not exist.
    """
    filtered = filter_class(request.GET, queryset=rows)
    table = table_class(filtered.qs)
    RequestConfig(request, paginate=False).configure(table)  # sorting only
    try:
        table.paginate(page=page_number(request), per_page=PAGE_LENGTH)
    except EmptyPage:
        raise Http404 from None
    return {"filter": filtered, "table": table}
