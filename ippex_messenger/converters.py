"""URL converters for ids and tenancy slugs. A path that doesn't match them is a 404."""

from tenancy.validators import SLUG_PATTERN


class PositiveIntegerConverter:
    regex = "[1-9][0-9]{0,17}"  # 18 digits fit PostgreSQL's bigint

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class TenancySlugConverter:
    regex = SLUG_PATTERN

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value
