"""When a member's morning is, and with it their next catch-up mail."""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone

from messenger.models import MailPreference

MORNING = time(7)  # the mail is there when the working day begins
SATURDAY = 5


def next_morning(now: datetime, zone: ZoneInfo, weekdays_only: bool) -> datetime:
    """The first 7 o'clock in that time zone after `now`; on Monday to Friday only, if so wanted."""
    day = now.astimezone(zone).date()
    while True:
        morning = datetime.combine(day, MORNING, tzinfo=zone)
        if morning > now and not (weekdays_only and day.weekday() >= SATURDAY):
            return morning
        day += timedelta(days=1)


def is_too_early(now: datetime, zone: ZoneInfo, weekdays_only: bool) -> bool:
    """Whether it is no time for a morning's mail there: before 7 o'clock, or a weekend for those who want none then.

    Later in the day is fine: a mail that was held up still counts for that day.
    """
    local = now.astimezone(zone)
    return local.time() < MORNING or (weekdays_only and local.weekday() >= SATURDAY)


def next_catch_up(choice: MailPreference) -> datetime | None:
    """The member's next morning on which a catch-up mail is to be looked at; None: they want none."""
    if choice.catch_up == MailPreference.CatchUp.NEVER:
        return None
    weekdays_only = choice.catch_up == MailPreference.CatchUp.WEEKDAYS
    return next_morning(timezone.now(), ZoneInfo(choice.member.user.time_zone), weekdays_only)
