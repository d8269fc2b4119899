"""Clock times that cannot be mistaken: when clocks go back, an hour comes twice, and only its offset tells which."""

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format, time_format


def clock_time(local: datetime, format_name: str = "TIME_FORMAT") -> str:
    """The time of day in the active language: “02:30”, or “02:30 UTC+2” if it comes twice on that day."""
    return time_format(local, format_name) + offset_if_repeated(local)


def moment_in_words(moment: datetime) -> str:
    """Date and time in the active language and time zone, with the offset as in `clock_time`."""
    local = timezone.localtime(moment)
    return date_format(local, "DATETIME_FORMAT") + offset_if_repeated(local)


def offset_if_repeated(local: datetime) -> str:
    """“ UTC+2” if this time of day comes twice in its zone on that day, else empty.

    `local` must have been converted to its zone: a time that clocks skip is mistaken for a repeated one.
    """
    offset = local.utcoffset()
    if offset is None or offset == local.replace(fold=1 - local.fold).utcoffset():
        return ""
    hours, rest = divmod(abs(offset), timedelta(hours=1))
    minutes = f":{rest // timedelta(minutes=1):02}" if rest else ""
    return f" UTC{'-' if offset < timedelta(0) else '+'}{hours}{minutes}"
