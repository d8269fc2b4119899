"""COPY into the tables of models, by named columns."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, models

NULL = r"\N"


class Lines(io.RawIOBase):
    """Lines as they come, as a file that COPY reads."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines: Iterator[str] = iter(lines)
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._left], len(self._left)
        while size < 0 or length < size:
            line = next(self._lines, None)
            if line is None:
                break
            parts.append(line.encode())
            length += len(parts[-1])
        whole = b"".join(parts)
        self._left = whole[size:] if size >= 0 else b""
        return whole[:size] if size >= 0 else whole


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def rest_of(model: type[models.Model], columns: Sequence[str]) -> dict[str, str]:
    """The columns that must have a value and were not named, with the value that a new row gets: text of COPY."""
    rest = {}
    for field in model._meta.concrete_fields:
        is_made_there = field.generated or field.has_db_default() or isinstance(field, models.AutoField)
        if field.column and field.column not in columns and not field.null and not is_made_there:
            default: Any = field.get_db_prep_save(field.get_default(), connection)
            rest[field.column] = escaped(str(default))
    return rest


def copy(model: type[models.Model], columns: Sequence[str], lines: Iterable[str]) -> None:
    """Rows of a model; each line holds `columns` in their order, without a line break."""
    rest = rest_of(model, columns)
    tail = "".join(f"\t{value}" for value in rest.values()) + "\n"
    names = ", ".join(f'"{column}"' for column in (*columns, *rest))
    with connection.cursor() as cursor:
        cursor.cursor.copy_expert(
            f'COPY "{model._meta.db_table}" ({names}) FROM STDIN', Lines(line + tail for line in lines), 1 << 18
        )


def next_id(model: type[models.Model]) -> int:
    return (model._default_manager.aggregate(last=models.Max("pk"))["last"] or 0) + 1  # type: ignore[no-any-return]


def continue_ids_of(model: type[models.Model]) -> None:
    """Rows that were given ids of their own leave the table's sequence behind."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), "  # noqa: S608  (a table of ours)
            f"(SELECT coalesce(max(id), 1) FROM {model._meta.db_table}))"
        )
