"""The sentences that pages and mails say about intervals and about what was e-mailed."""

from datetime import timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from messenger.models import Message

MINUTES_A_DAY = 24 * 60


def interval_in_words(minutes: int) -> str:
    """Exactly: “30 minutes”, “1 day 2 hours 5 minutes”."""
    return " ".join(_parts(minutes))


def interval_in_short(minutes: int) -> str:
    """For the axis of a chart: “30 min”, “1 d 2 h”."""
    days, rest = divmod(minutes, MINUTES_A_DAY)
    hours, rest = divmod(rest, 60)
    parts = []
    if days:
        parts.append(_("%(count)d d") % {"count": days})
    if hours:
        parts.append(_("%(count)d h") % {"count": hours})
    if rest or not parts:
        parts.append(_("%(count)d min") % {"count": rest})
    return " ".join(parts)


def elapsed_in_words(elapsed: timedelta) -> str:
    """Rounded down to what matters: “14 minutes”, “2 hours 5 minutes”, “3 days 4 hours”."""
    minutes = int(elapsed.total_seconds() // 60)
    return " ".join(_parts(minutes)[:2]) if minutes else _("less than a minute")


def _parts(minutes: int) -> list[str]:
    days, rest = divmod(minutes, MINUTES_A_DAY)
    hours, rest = divmod(rest, 60)
    parts = []
    if days:
        parts.append(ngettext("%(count)d day", "%(count)d days", days) % {"count": days})
    if hours:
        parts.append(ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours})
    if rest or not parts:
        parts.append(ngettext("%(count)d minute", "%(count)d minutes", rest) % {"count": rest})
    return parts


def notifications_in_words(enabled: bool, interval_minutes: int) -> str:
    """A topic's notification settings, as the topic list says them."""
    if not enabled:
        return _("No e-mails")
    if interval_minutes == 0:
        return _("E-mail for every message")
    return _("E-mail after %(interval)s of silence") % {"interval": interval_in_words(interval_minutes)}


def outcome_in_words(outcome: str, reason: str, interval_minutes: int, elapsed: timedelta | None) -> str:
    """What was decided about e-mailing a message, with the facts as they then were."""
    if reason == Message.Reason.NOTIFICATIONS_OFF:
        return _("Not e-mailed: notifications were off")
    if elapsed is None:
        return _("E-mail to the group: the first message of the topic")
    if interval_minutes == 0:
        return _("E-mail to the group: every message of the topic")
    sentence = (
        _("E-mail to the group: %(elapsed)s after the previous message (interval %(interval)s)")
        if outcome == Message.Outcome.EMAIL
        else _("Not e-mailed: %(elapsed)s after the previous message (interval %(interval)s)")
    )
    return sentence % {"elapsed": elapsed_in_words(elapsed), "interval": interval_in_words(interval_minutes)}
