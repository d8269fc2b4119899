"""Querysets that are compiled once a process and planned once a connection.

For the few statements that nearly every request makes. Building SQL out of a queryset costs a millisecond and more, and
PostgreSQL as much again for planning it; executing it costs a tenth of that. Why, and what to look out for:
docs/decisions/0022-prepared-statements.md.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from django.db import NotSupportedError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.db.models import Field, IntegerField, Lookup, Model, QuerySet
from django.db.models.sql import UpdateQuery
from django.db.models.sql.compiler import SQLCompiler
from django.utils.functional import cached_property
from psycopg2.extensions import AsIs

M = TypeVar("M", bound=Model)

# What stands in for a parameter while its queryset is compiled: nothing that a queryset would hold by itself.
_PLACEHOLDERS: dict[str, Callable[[int], Any]] = {
    "bigint": lambda number: 7_000_000_000_000_000 + number,
    "integer": lambda number: 2_100_000_000 + number,
    "text": lambda number: f"<stand-in {number}>",
    "timestamptz": lambda number: datetime(7000, 1, 1, microsecond=number, tzinfo=UTC),
    "bigint[]": lambda number: [7_000_000_000_000_000 + number],
    "text[]": lambda number: [f"<stand-in {number}>"],
}
_LARGEST_CONSTANT = 2_000_000_000

# Of each connection, the statements that it knows; False: one that it is to make anew. PostgreSQL keeps them until the
# connection ends, whatever becomes of the transaction in which they were made.
_known: WeakKeyDictionary[Any, dict["Statement", bool]] = WeakKeyDictionary()


@Field.register_lookup
class OneOf(Lookup):  # type: ignore[type-arg]
    """`__one_of`: as `__in`, with all of the values in one parameter, which is an array."""

    lookup_name = "one_of"

    def get_prep_lookup(self) -> Any:
        return list(self.rhs)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        left, parameters = self.process_lhs(compiler, connection)
        return f"{left} = ANY(%s)", (*parameters, self.rhs)


class Statement:
    """What a connection prepares when it is first asked for it, and executes by name from then on."""

    def __init__(self, name: str, *types: str) -> None:
        self.name = name
        self._types = types
        places = ", ".join(["%s"] * len(types))
        self._execute = f"EXECUTE {name}({places})" if types else f"EXECUTE {name}"
        self._signature = f"({', '.join(types)})" if types else ""

    def __call__(self, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._ask(parameters)

    def within(self, milliseconds: int, *parameters: Any) -> list[tuple[Any, ...]]:
        """The same, for no longer than that. In a transaction, it holds for what follows in it too."""
        return self._ask(parameters, f"SET LOCAL statement_timeout = {milliseconds:d}; ")

    def after(self, first: "Statement", values: tuple[Any, ...], *parameters: Any) -> list[tuple[Any, ...]]:
        """The same, in a transaction, and before it another one with its values, whose answer nobody waits for.

        Sent together, and still one after the other: this one sees what was committed while that one waited for a lock.
        """
        return self._ask((*values, *parameters), first._execute + "; ", first)

    def _ask(self, parameters: tuple[Any, ...], before: str = "", *others: "Statement") -> list[tuple[Any, ...]]:
        values = tuple(_array(value) if isinstance(value, list) else value for value in parameters)
        with connection.cursor() as cursor:
            self._run_as_planned(cursor, values, before, *others)
            rows = cursor.fetchall()
        return [self._convert(row) for row in rows] if self._compiled.converters else rows

    def _run_as_planned(
        self, cursor: CursorWrapper, values: tuple[Any, ...], before: str = "", *others: "Statement"
    ) -> None:
        try:
            self._run(cursor, values, before, *others)
        except NotSupportedError:
            # A migration changed the type of a column: "cached plan must not change result type".
            _known[cursor.db.connection].update(dict.fromkeys((self, *others), False))
            if cursor.db.in_atomic_block:
                raise
            self._run(cursor, values, before, *others)

    def _run(self, cursor: CursorWrapper, values: tuple[Any, ...], before: str, *others: "Statement") -> None:
        known = _known.setdefault(cursor.db.connection, {})
        for statement in (*others, self):
            if not known.get(statement):
                statement._prepare(known)
        cursor.execute(before + self._execute, values)

    def _prepare(self, known: dict["Statement", bool]) -> None:
        connection.validate_no_broken_transaction()
        # Past Django's own cursor: how many statements a request makes does not depend on which connection it has.
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            if self in known:
                cursor.execute(f"DEALLOCATE {self.name}")
                del known[self]
            cursor.execute(self._compiled.definition)
        known[self] = True

    @property
    def _compiled(self) -> "_Compiled":
        raise NotImplementedError

    def _convert(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        values = list(row)
        for position, (converters, expression) in self._compiled.converters.items():
            for convert in converters:
                values[position] = convert(values[position], expression, connection)
        return tuple(values)


class Prepared(Statement):
    """A queryset with parameters, called with their values; answers with the rows of its `values_list`.

        READABLE = Prepared(
            "readable", lambda member, topic: visible_to(Member(pk=member)).filter(pk=topic).values_list("pk"),
            "bigint", "bigint",
        )
        rows = READABLE(member.pk, topic.pk)

    `build` is called once, with values that stand for the parameters. Whatever else it asks (a role of the member, the
    clock, the active language) has one answer for the life of the process: hand it over as a parameter. A parameter
    must reach the SQL as it is; one that is lost or changed on the way is refused, where that can be seen.
    """

    def __init__(self, name: str, build: Callable[..., QuerySet[Any, Any]], *types: str) -> None:
        super().__init__(name, *types)
        self._build = build

    @cached_property
    def _compiled(self) -> "_Compiled":
        placeholders = {position: _PLACEHOLDERS[kind](position) for position, kind in enumerate(self._types, 1)}
        compiler = self._compiler(*placeholders.values())
        sql, parameters = compiler.as_sql()
        bound = [self._bind(parameter, placeholders) for parameter in parameters]
        lost = placeholders.keys() - {parameter.position for parameter in bound if isinstance(parameter, _Place)}
        if lost:
            raise ValueError(f"{self.name}: parameter {min(lost)} does not turn up in the SQL")
        with connection.cursor() as cursor:
            definition = f"PREPARE {self.name}{self._signature} AS {cursor.mogrify(sql, bound).decode()}"
        converters = compiler.get_converters([column for column, _, _ in compiler.select or ()])
        # PostgreSQL answers a whole number with a whole number, which Django would make one of.
        needed = {
            position: (convert, expression)
            for position, (convert, expression) in converters.items()
            if not isinstance(expression.output_field, IntegerField)
        }
        return _Compiled(definition, needed)

    def _compiler(self, *placeholders: Any) -> SQLCompiler:
        return self._build(*placeholders).query.get_compiler("default")

    def _bind(self, parameter: Any, placeholders: dict[int, Any]) -> Any:
        for position, value in placeholders.items():
            if type(parameter) is type(value) and parameter == value:
                return _Place(position)
        # What stands in the SQL for good must be no parameter: neither part of a value nor counted on from.
        inside = any(str(value) in str(parameter) for value in placeholders.values())
        is_number = isinstance(parameter, int | float)
        if inside or isinstance(parameter, datetime) or (is_number and abs(parameter) > _LARGEST_CONSTANT):
            raise ValueError(f"{self.name}: {parameter!r} would be the same for good; is it made of a parameter?")
        return parameter


class PreparedUpdate(Prepared):
    """The same for changing rows: `build` answers with a queryset and with what its rows are to hold.

        RENAME = PreparedUpdate(
            "rename", lambda topic, name: (Topic.objects.filter(pk=topic), {"name": name}), "bigint", "text"
        )

    Called, it answers with the number of rows.
    """

    def __init__(self, name: str, build: Callable[..., tuple[QuerySet[Any, Any], dict[str, Any]]], *types: str) -> None:
        super().__init__(name, lambda *values: build(*values)[0], *types)
        self._build_update = build

    def __call__(self, *values: Any) -> int:  # type: ignore[override]
        with connection.cursor() as cursor:
            self._run_as_planned(cursor, values)
            return cursor.rowcount

    def _compiler(self, *placeholders: Any) -> SQLCompiler:
        queryset, changes = self._build_update(*placeholders)
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        compiler: SQLCompiler = query.get_compiler("default")
        return compiler


class PreparedSql(Statement):
    """The same of SQL as it is written, with $1, $2 and so on for the parameters: what no queryset can say."""

    def __init__(self, name: str, sql: str, *types: str) -> None:
        super().__init__(name, *types)
        self._sql = sql

    @cached_property
    def _compiled(self) -> "_Compiled":
        return _Compiled(f"PREPARE {self.name}{self._signature} AS {self._sql}", {})


def _array(values: list[Any]) -> str:
    """As PostgreSQL writes an array: for a thousand values twice as fast, on either side, as an expression of each."""
    return "{" + ",".join(_quoted(value) if isinstance(value, str) else str(value) for value in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def columns(model: type[Model], path: str = "", but: Collection[str] = ()) -> list[str]:
    """Of `values_list`: what `instance` makes a row of this model of; `path` leads to it."""
    return [path + name for name in _names(model, frozenset(but))]


def instance(model: type[M], values: Collection[Any], but: Collection[str] = ()) -> M:
    """Of the values of `columns`. Those that were left out are asked for when they are needed."""
    return model.from_db("default", _names(model, frozenset(but)), values)


@cache
def _names(model: type[Model], but: frozenset[str]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields if field.attname not in but]


class _Place(AsIs):  # type: ignore[misc]
    """Where a parameter stands in the SQL."""

    def __init__(self, position: int) -> None:
        super().__init__(f"${position}")
        self.position = position


class _Compiled(NamedTuple):
    definition: str
    # By column: what Django makes of that which PostgreSQL answers (JSON, for example).
    converters: dict[int, tuple[list[Callable[..., Any]], Any]]
