"""The line above the composer that says what posting now would do, and what it turns into by itself."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from math import ceil

from django.utils import timezone
from django.utils.formats import date_format, get_format, time_format
from django.utils.translation import get_language

from messenger.models import Topic
from messenger.notifications.explanations.forecast import Forecast, forecast_for
from messenger.notifications.explanations.wording import forecast_in_words


@dataclass(frozen=True)
class ForecastText:
    is_emailed: bool
    now: str  # what is so at this moment
    seconds: int  # until it changes by itself; 0: it does not
    then: str  # what is so then; empty where nothing changes

    @property
    def turns(self) -> bool:
        return self.seconds > 0

    @classmethod
    def of(cls, topic: Topic, recipients: int) -> "ForecastText":
        """For a reader whose message would be e-mailed to that many `recipients`, in their language and time zone."""
        now = timezone.now()
        forecast = forecast_for(topic, recipients, now)
        how = topic.notification_interval, timezone.get_current_timezone(), timezone.localdate(now), get_language()
        line = cls(is_emailed=forecast.is_emailed, now=_say(forecast, *how), seconds=0, then="")
        if forecast.email_from is None or not forecast.recipients:
            return line
        return replace(
            line,
            seconds=ceil((forecast.email_from - now).total_seconds()),
            then=_say(replace(forecast, reason="", email_from=None), *how),
        )


@lru_cache(maxsize=1_000)
def _say(forecast: Forecast, interval_minutes: int, zone: tzinfo, today: date, language: str | None) -> str:
    """In the active zone and language, and as it is said today: these only tell what was kept apart."""
    moment = _moment(forecast.email_from, today) if forecast.email_from else ""
    return forecast_in_words(forecast, interval_minutes, moment)


def _moment(moment: datetime, today: date) -> str:
    """To the full second from which it is so, in the reader's time zone; with the day unless it is today."""
    local = timezone.localtime(moment + timedelta(microseconds=-moment.microsecond % 1_000_000))
    clock = time_format(local, _with_seconds(get_format("TIME_FORMAT")))
    if local.date() == today:
        return clock
    return f"{date_format(local, 'D')} {date_format(local, 'MONTH_DAY_FORMAT')}, {clock}"


def _with_seconds(time_format: str) -> str:
    """A language's way to write a time of day, which is without them: “H:i” becomes “H:i:s”."""
    return re.sub(r"(.)i", r"\1i\1s", time_format.replace("P", "g:i a"))
