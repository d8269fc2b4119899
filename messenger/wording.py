"""The sentences that pages and mails say about intervals and about what was e-mailed."""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messenger.models import Message


def in_words(duration: timedelta) -> str:
    """A length of time, rounded down to whole minutes: “14 minutes”, “1 hour 30 minutes”, “2 days”."""
    minutes = int(duration.total_seconds() // 60)
    if minutes == 0:
        return _("less than a minute")
    days, minutes = divmod(minutes, 24 * 60)
    hours, minutes = divmod(minutes, 60)
    parts = []
    if days:
        parts.append(ngettext("%(count)d day", "%(count)d days", days) % {"count": days})
    if hours:
        parts.append(ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours})
    if minutes:
        parts.append(ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes})
    return " ".join(parts[:2])


def interval_in_words(minutes: int) -> str:
    return _("every message") if minutes == 0 else in_words(timedelta(minutes=minutes))


def notifications_in_words(enabled: bool, interval_minutes: int) -> str:
    """A topic's notification settings, as the topic list says them."""
    if not enabled:
        return _("No e-mails")
    if interval_minutes == 0:
        return _("E-mail for every message")
    return _("E-mail after %(interval)s of silence") % {"interval": in_words(timedelta(minutes=interval_minutes))}


def outcome_in_words(outcome: str, reason: str, interval_minutes: int, elapsed: timedelta | None, is_told: bool) -> str:
    """What posting a message did about e-mail, with the facts as they then were."""
    if outcome == Message.Outcome.EMAIL:
        return _("E-mailed to the group") if is_told else _("E-mail to the group on its way")
    if reason == Message.Reason.INTERVAL and elapsed is not None:
        return _("Not e-mailed: %(elapsed)s after the previous message (interval %(interval)s)") % {
            "elapsed": in_words(elapsed),
            "interval": in_words(timedelta(minutes=interval_minutes)),
        }
    return _("Not e-mailed: notifications were off")
