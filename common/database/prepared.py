"""Querysets that are compiled once per process and planned once per connection.

For the few statements that nearly every request makes. Building SQL from a queryset takes a millisecond or more, and
planning it in PostgreSQL as long again; executing it takes a tenth of that. Reasons and pitfalls:
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

# Values that take the place of the parameters while a queryset is compiled. No queryset contains them by itself.
_PLACEHOLDERS: dict[str, Callable[[int], Any]] = {
    "bigint": lambda number: 7_000_000_000_000_000 + number,
    "integer": lambda number: 2_100_000_000 + number,
    "text": lambda number: f"<parameter {number}>",
    "timestamptz": lambda number: datetime(7000, 1, 1, microsecond=number, tzinfo=UTC),
    "bigint[]": lambda number: [7_000_000_000_000_000 + number],
    "text[]": lambda number: [f"<parameter {number}>"],
}
_LARGEST_CONSTANT = 2_000_000_000

# The statements prepared on each connection. False: to be prepared again, because its plan is no longer valid.
# PostgreSQL keeps them until the connection ends, even if the transaction that prepared them is rolled back.
_prepared: WeakKeyDictionary[Any, dict["Statement", bool]] = WeakKeyDictionary()


@Field.register_lookup
class OneOf(Lookup):  # type: ignore[type-arg]
    """`__one_of`: like `__in`, but with all values in a single array parameter."""

    lookup_name = "one_of"

    def get_prep_lookup(self) -> Any:
        return list(self.rhs)

    def as_sql(self, compiler: SQLCompiler, connection: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        left, parameters = self.process_lhs(compiler, connection)
        return f"{left} = ANY(%s)", (*parameters, self.rhs)


class Statement:
    """A statement that each connection prepares at its first use and from then on executes by name.

    `types` are the PostgreSQL types of its parameters. Calling it returns the rows.
    """

    def __init__(self, name: str, *types: str) -> None:
        self.name = name
        self._types = types
        placeholders = ", ".join(["%s"] * len(types))
        self._execute = f"EXECUTE {name}({placeholders})" if types else f"EXECUTE {name}"
        self._signature = f"({', '.join(types)})" if types else ""

    def __call__(self, *parameters: Any) -> list[tuple[Any, ...]]:
        return self._fetch(parameters)

    def within(self, milliseconds: int, *parameters: Any) -> list[tuple[Any, ...]]:
        """The same with a timeout, which also applies to the rest of the current transaction."""
        return self._fetch(parameters, f"SET LOCAL statement_timeout = {milliseconds:d}; ")

    def after(self, first: "Statement", values: tuple[Any, ...], *parameters: Any) -> list[tuple[Any, ...]]:
        """Run `first` with its `values`, whose rows are dropped, then this statement. Call it in a transaction.

        Both are sent in one round trip, but run one after the other: this statement sees what other transactions
        committed while `first` waited for a lock.
        """
        return self._fetch((*values, *parameters), first._execute + "; ", first)

    def _fetch(self, parameters: tuple[Any, ...], before: str = "", *others: "Statement") -> list[tuple[Any, ...]]:
        values = tuple(_array(value) if isinstance(value, list) else value for value in parameters)
        with connection.cursor() as cursor:
            self._run_with_valid_plan(cursor, values, before, *others)
            rows = cursor.fetchall()
        return [self._convert(row) for row in rows] if self._compiled.converters else rows

    def _run_with_valid_plan(
        self, cursor: CursorWrapper, values: tuple[Any, ...], before: str = "", *others: "Statement"
    ) -> None:
        try:
            self._run(cursor, values, before, *others)
        except NotSupportedError:
            # A migration changed the type of a column: "cached plan must not change result type".
            _prepared[cursor.db.connection].update(dict.fromkeys((self, *others), False))
            if cursor.db.in_atomic_block:
                raise
            self._run(cursor, values, before, *others)

    def _run(self, cursor: CursorWrapper, values: tuple[Any, ...], before: str, *others: "Statement") -> None:
        prepared = _prepared.setdefault(cursor.db.connection, {})
        for statement in (*others, self):
            if not prepared.get(statement):
                statement._prepare(prepared)
        cursor.execute(before + self._execute, values)

    def _prepare(self, prepared: dict["Statement", bool]) -> None:
        connection.validate_no_broken_transaction()
        # Not through Django's cursor: the query count of a request must not depend on the connection that it gets.
        with connection.wrap_database_errors, connection.connection.cursor() as cursor:
            if self in prepared:
                cursor.execute(f"DEALLOCATE {self.name}")
                del prepared[self]
            cursor.execute(self._compiled.definition)
        prepared[self] = True

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
    """A queryset with parameters. Calling it with their values returns the rows of its `values_list`.

        READABLE = Prepared(
            "readable", lambda member, topic: visible_to(Member(pk=member)).filter(pk=topic).values_list("pk"),
            "bigint", "bigint",
        )
        rows = READABLE(member.pk, topic.pk)

    `build` is called once, with placeholders for the parameters. Anything else that it reads (a member's role, the
    clock, the active language) would stay as it was for the life of the process: pass it as a parameter instead.
    Parameters must reach the SQL unchanged. At the first use, a missing parameter raises ValueError, and so does a
    changed one as far as this can be detected.
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
        missing = placeholders.keys() - {parameter.position for parameter in bound if isinstance(parameter, _Parameter)}
        if missing:
            raise ValueError(f"{self.name}: parameter {min(missing)} is missing from the SQL")
        with connection.cursor() as cursor:
            definition = f"PREPARE {self.name}{self._signature} AS {cursor.mogrify(sql, bound).decode()}"
        converters = compiler.get_converters([column for column, _, _ in compiler.select or ()])
        # Integers need no converter: PostgreSQL returns them as such.
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
                return _Parameter(position)
        # The remaining values become constants of the SQL. None may be derived from a parameter, by concatenation or
        # arithmetic, or be a time.
        contains_parameter = any(str(value) in str(parameter) for value in placeholders.values())
        is_number = isinstance(parameter, int | float)
        if contains_parameter or isinstance(parameter, datetime) or (is_number and abs(parameter) > _LARGEST_CONSTANT):
            raise ValueError(f"{self.name}: {parameter!r} would become a constant; is it derived from a parameter?")
        return parameter


class PreparedUpdate(Prepared):
    """An UPDATE: `build` returns a queryset and the new values of its rows.

    RENAME = PreparedUpdate(
        "rename", lambda topic, name: (Topic.objects.filter(pk=topic), {"name": name}), "bigint", "text"
    )
    count = RENAME.update(topic.pk, name)
    """

    def __init__(self, name: str, build: Callable[..., tuple[QuerySet[Any, Any], dict[str, Any]]], *types: str) -> None:
        super().__init__(name, lambda *values: build(*values)[0], *types)
        self._build_update = build

    def update(self, *values: Any) -> int:
        """The number of updated rows."""
        with connection.cursor() as cursor:
            self._run_with_valid_plan(cursor, values)
            return cursor.rowcount

    def _compiler(self, *placeholders: Any) -> SQLCompiler:
        queryset, changes = self._build_update(*placeholders)
        query: Any = queryset.query.chain(UpdateQuery)
        query.add_update_values(changes)
        compiler: SQLCompiler = query.get_compiler("default")
        return compiler


class PreparedSql(Statement):
    """Hand-written SQL, with $1, $2 and so on for the parameters, for what querysets cannot express."""

    def __init__(self, name: str, sql: str, *types: str) -> None:
        super().__init__(name, *types)
        self._sql = sql

    @cached_property
    def _compiled(self) -> "_Compiled":
        return _Compiled(f"PREPARE {self.name}{self._signature} AS {self._sql}", {})


def _array(values: list[Any]) -> str:
    """A list as a PostgreSQL array literal.

    For a thousand values this is twice as fast, both here and in PostgreSQL, as an expression for each value.
    """
    return "{" + ",".join(_quoted(value) if isinstance(value, str) else str(value) for value in values) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def columns(model: type[Model], path: str = "", exclude: Collection[str] = ()) -> list[str]:
    """The arguments of `values_list` for the values that `instance` takes.

    `path` is the prefix that leads from the queryset to the model, such as `user__`.
    """
    return [path + name for name in _names(model, frozenset(exclude))]


def instance(model: type[M], values: Collection[Any], exclude: Collection[str] = ()) -> M:
    """The model instance with the values of `columns`. Excluded columns are deferred."""
    return model.from_db("default", _names(model, frozenset(exclude)), values)


@cache
def _names(model: type[Model], exclude: frozenset[str]) -> list[str]:
    """Generated columns are never among them: they are there to be compared in the database."""
    fields = model._meta.concrete_fields
    return [field.attname for field in fields if field.attname not in exclude and not field.generated]


class _Parameter(AsIs):  # type: ignore[misc]
    """A reference to a parameter in the SQL: $1, $2 and so on."""

    def __init__(self, position: int) -> None:
        super().__init__(f"${position}")
        self.position = position


class _Compiled(NamedTuple):
    definition: str
    # By position of the column: Django's converters for the values that PostgreSQL returns (JSON, for example).
    converters: dict[int, tuple[list[Callable[..., Any]], Any]]
