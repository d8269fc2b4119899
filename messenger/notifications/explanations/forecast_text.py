"""The forecast above the composer, and the text that the page replaces it with when the interval has passed."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from math import ceil

from django.utils import timezone
from django.utils.formats import date_format, get_format
from django.utils.translation import get_language

from common.clock_times import clock_time
from messenger.models import Topic
from messenger.notifications.explanations.forecast import Forecast, forecast_for
from messenger.notifications.explanations.wording import forecast_in_words


@dataclass(frozen=True)
class ForecastText:
    is_emailed: bool
    now: str  # the forecast at this moment
    seconds: int  # until `then` replaces it; 0: never
    then: str  # the forecast from then on; empty if it does not change

    @property
    def turns(self) -> bool:
        return self.seconds > 0

    @classmethod
    def of(cls, topic: Topic, recipients: int) -> "ForecastText":
        """For a reader whose message would have this many `recipients`, in the active language and time zone."""
        now = timezone.now()
        forecast = forecast_for(topic, recipients, now)
        context = topic.notification_interval, timezone.get_current_timezone(), timezone.localdate(now), get_language()
        text = cls(is_emailed=forecast.is_emailed, now=_phrase(forecast, *context), seconds=0, then="")
        if forecast.email_from is None or not forecast.recipients:
            return text
        return replace(
            text,
            seconds=ceil((forecast.email_from - now).total_seconds()),
            then=_phrase(replace(forecast, reason="", email_from=None), *context),
        )


@lru_cache(maxsize=1_000)
def _phrase(forecast: Forecast, interval_minutes: int, zone: tzinfo, today: date, language: str | None) -> str:
    """The forecast in words, in the active language and time zone: `zone` and `language` are for the cache key only."""
    moment = _moment(forecast.email_from, today) if forecast.email_from else ""
    return forecast_in_words(forecast, interval_minutes, moment)


def _moment(moment: datetime, today: date) -> str:
    """The time in the active time zone, rounded up to full seconds, with the day unless it is today."""
    local = timezone.localtime(moment + timedelta(microseconds=-moment.microsecond % 1_000_000))
    clock = clock_time(local, _with_seconds(get_format("TIME_FORMAT")))
    if local.date() == today:
        return clock
    return f"{date_format(local, 'D')} {date_format(local, 'MONTH_DAY_FORMAT')}, {clock}"


def _with_seconds(time_format: str) -> str:
    """Add seconds to a language's time format: “H:i” becomes “H:i:s”."""
    return re.sub(r"(.)i", r"\1i\1s", time_format.replace("P", "g:i a"))
