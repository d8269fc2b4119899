"""Bulk inserts into the tables of models, by COPY."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db import connection, models

NULL = r"\N"


class LineReader(io.RawIOBase):
    """A file for COPY to read, made from an iterator of lines."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines: Iterator[str] = iter(lines)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            line = next(self._lines, None)
            if line is None:
                break
            parts.append(line.encode())
            length += len(parts[-1])
        whole = b"".join(parts)
        self._rest = whole[size:] if size >= 0 else b""
        return whole[:size] if size >= 0 else whole


def escape(text: str) -> str:
    """`text` as a value in a line for COPY."""
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _defaults(model: type[models.Model], columns: Sequence[str]) -> dict[str, str]:
    """The required columns beside `columns`, with the model's defaults as text for COPY."""
    defaults = {}
    for field in model._meta.concrete_fields:
        is_set_by_database = field.generated or field.has_db_default() or isinstance(field, models.AutoField)
        if field.column and field.column not in columns and not field.null and not is_set_by_database:
            default: Any = field.get_db_prep_save(field.get_default(), connection)
            defaults[field.column] = escape(str(default))
    return defaults


def copy(model: type[models.Model], columns: Sequence[str], lines: Iterable[str]) -> None:
    """Insert rows of `model`. Each line contains `columns`, in this order, separated by tabs, without a line break."""
    defaults = _defaults(model, columns)
    tail = "".join(f"\t{value}" for value in defaults.values()) + "\n"
    names = ", ".join(f'"{column}"' for column in (*columns, *defaults))
    with connection.cursor() as cursor:
        cursor.cursor.copy_expert(
            f'COPY "{model._meta.db_table}" ({names}) FROM STDIN', LineReader(line + tail for line in lines), 1 << 18
        )


def next_id(model: type[models.Model]) -> int:
    return (model._default_manager.aggregate(last=models.Max("pk"))["last"] or 0) + 1  # type: ignore[no-any-return]


def advance_id_sequence(model: type[models.Model]) -> None:
    """Call this after inserting rows with explicit ids: the table's id sequence doesn't notice them."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT setval(pg_get_serial_sequence('{model._meta.db_table}', 'id'), "  # noqa: S608  (a table of ours)
            f"(SELECT coalesce(max(id), 1) FROM {model._meta.db_table}))"
        )
