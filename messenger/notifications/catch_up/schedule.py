"""When a member's next catch-up mail is due: in the morning of their time zone."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from messenger.models import MailPreference

MORNING = time(7)  # so that the mail has arrived when the working day begins
SATURDAY = 5


def next_morning(now: datetime, zone: ZoneInfo, weekdays_only: bool) -> datetime:
    """The next 7 o'clock after `now` in this time zone; with `weekdays_only`, on Monday to Friday."""
    day = now.astimezone(zone).date()
    while True:
        morning = datetime.combine(day, MORNING, tzinfo=zone)
        if morning > now and not (weekdays_only and day.weekday() >= SATURDAY):
            return morning
        day += timedelta(days=1)


def is_too_early(now: datetime, zone: ZoneInfo, weekdays_only: bool) -> bool:
    """Whether it is before 7 o'clock in this time zone, or, with `weekdays_only`, a weekend.

    There is no "too late": a delayed mail may still be sent later on its day.
    """
    local = now.astimezone(zone)
    return local.time() < MORNING or (weekdays_only and local.weekday() >= SATURDAY)


def next_catch_up(preference: MailPreference) -> datetime | None:
    """The next morning on which the member may get a catch-up mail; None: they want none."""
    if preference.catch_up == MailPreference.CatchUp.NEVER:
        return None
    weekdays_only = preference.catch_up == MailPreference.CatchUp.WEEKDAYS
    return next_morning(timezone.now(), ZoneInfo(preference.member.user.time_zone), weekdays_only)
