"""Columns that PostgreSQL generates from names, to compare them by (common/folding.py)."""

from django.db import models


def folded_column(source: str = "name") -> models.GeneratedField:
    """`fold` of a text: what searches for it look into."""
    return _generated("folded_name", source)


def skeleton_column() -> models.GeneratedField:
    """`skeleton` of the name: what must be unique."""
    return _generated("name_skeleton", "name")


def _generated(function: str, source: str) -> models.GeneratedField:
    expression = models.Func(models.F(source), function=function)
    return models.GeneratedField(expression=expression, output_field=models.TextField(), db_persist=True)
