"""The sentences of pages and mails about intervals and about what was e-mailed."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from messenger.models import Delivery, Message
from messenger.notifications.explanations.forecast import Forecast

MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True)
class Missing:
    """How many of a message's mails have not been sent, by their state."""

    waiting: int = 0
    failed: int = 0
    cancelled: int = 0


NOTHING_MISSING = Missing()


def interval_in_words(minutes: int) -> str:
    """The exact interval: “30 minutes”, “1 day 2 hours 5 minutes”."""
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
    """Rounded down to the two largest units: “14 minutes”, “2 hours 5 minutes”, “3 days 4 hours”."""
    minutes = int(elapsed.total_seconds() // 60)
    return " ".join(_parts(minutes)[:2]) if minutes else _("less than a minute")


def _number(count: int) -> str:
    """The number in the reader's format; below 1000 without formatting, as a page may have fifty of them."""
    return str(count) if count < 1000 else number_format(count)


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
    """A topic's notification settings, for the topic list."""
    if not enabled:
        return _("Notifications are off")
    if interval_minutes == 0:
        return _("E-mail for every message")
    return _("E-mail after a pause of %(interval)s") % {"interval": interval_in_words(interval_minutes)}


def outcome_in_words(
    reason: str,
    interval_minutes: int,
    elapsed: timedelta | None,
    addressees: int | None,
    missing: Missing,
) -> str:
    """One line about a message: how many people it was e-mailed to, or why it was not e-mailed.

    Interval and elapsed time are those at the time of posting. `addressees` is the number of mails that were due, None
    while its deliveries are still to be written.
    """
    if reason == Message.Reason.NOTIFICATIONS_OFF:
        return _("Not e-mailed: notifications were off for this topic")
    if reason == Message.Reason.INTERVAL and elapsed is not None:
        return _("Not e-mailed: %(elapsed)s after the previous message (interval: %(interval)s)") % {
            "elapsed": elapsed_in_words(elapsed),
            "interval": interval_in_words(interval_minutes),
        }
    if addressees is None:
        return _("E-mails to the group are about to be sent")
    if addressees == 0:
        return _("Not e-mailed: no one else gets e-mails about this topic")
    sent = addressees - missing.waiting - missing.failed - missing.cancelled
    if missing.waiting == addressees:
        return ngettext(
            "An e-mail to %(count)s person is on its way", "E-mails to %(count)s people are on their way", addressees
        ) % {"count": _number(addressees)}
    if sent == addressees:
        return ngettext("E-mailed to %(count)s person", "E-mailed to %(count)s people", sent) % {"count": _number(sent)}
    parts = [
        ngettext("E-mailed to %(sent)s of %(count)s person", "E-mailed to %(sent)s of %(count)s people", addressees)
        % {"sent": _number(sent), "count": _number(addressees)}
    ]
    if missing.waiting:
        on_the_way = ngettext("%(count)s on the way", "%(count)s on the way", missing.waiting)
        parts.append(on_the_way % {"count": _number(missing.waiting)})
    if missing.failed:
        failed = ngettext("%(count)s failed", "%(count)s failed", missing.failed)
        parts.append(failed % {"count": _number(missing.failed)})
    if missing.cancelled:
        cancelled = ngettext("%(count)s cancelled", "%(count)s cancelled", missing.cancelled)
        parts.append(cancelled % {"count": _number(missing.cancelled)})
    return ", ".join(parts)


def decision_in_words(reason: str, interval_minutes: int, elapsed: timedelta | None, addressees: int | None) -> str:
    """The sentence in a message's record that explains why it was e-mailed or not; arguments: see outcome_in_words."""
    if addressees == 0:
        return _("It was due to be e-mailed, but there was no one in the group to e-mail.")
    if reason == Message.Reason.NOTIFICATIONS_OFF:
        return _("It was not e-mailed because notifications were off for this topic when it was posted.")
    if elapsed is None:
        return _("It was e-mailed because it was the first message in the topic.")
    if interval_minutes == 0:
        return _("With a notification interval of 0 minutes, every message was e-mailed.")
    sentence = (
        _("It was not e-mailed because it was posted %(elapsed)s after the previous message, which is less than the "
          "notification interval of %(interval)s.")
        if reason
        else _("It was e-mailed because it was posted %(elapsed)s after the previous message and the notification "
               "interval was %(interval)s.")
    )  # fmt: skip
    return sentence % {"elapsed": elapsed_in_words(elapsed), "interval": interval_in_words(interval_minutes)}


_WHY_NOT_SENT = {
    Delivery.Reason.AUTHOR: gettext_lazy("Not e-mailed: wrote the message"),
    Delivery.Reason.MUTED: gettext_lazy("Not e-mailed: had muted the topic"),
    Delivery.Reason.REMOVED: gettext_lazy("Not e-mailed: the message was removed before the e-mail was sent"),
    Delivery.Reason.LEFT: gettext_lazy("Not e-mailed: left the group before the e-mail was sent"),
    Delivery.Reason.MEMBER_INACTIVE: gettext_lazy("Not e-mailed: was an inactive user"),
    Delivery.Reason.TOPIC_INACTIVE: gettext_lazy("Not e-mailed: the topic became inactive before the e-mail was sent"),
    Delivery.Reason.GROUP_INACTIVE: gettext_lazy("Not e-mailed: the group became inactive before the e-mail was sent"),
    Delivery.Reason.MESSENGER_OFF: gettext_lazy("Not e-mailed: Messenger was switched off before the e-mail was sent"),
    Delivery.Reason.LOST_ACCESS: gettext_lazy("Not e-mailed: could no longer read the topic when the e-mail was due"),
    Delivery.Reason.UNUSABLE_ADDRESS: gettext_lazy("Failed: the e-mail address is not valid"),
    Delivery.Reason.REFUSED: gettext_lazy("Failed: the mail server refused the e-mail"),
    Delivery.Reason.GAVE_UP: gettext_lazy("Failed: the mail server did not accept the e-mail within 24 hours"),
}


def delivery_in_words(delivery: Delivery) -> str:
    """The state of one member's mail. Leaves out the mail server's answer, which may contain addresses."""
    if delivery.state == Delivery.State.SENT:
        return _("E-mailed")
    if delivery.state == Delivery.State.NOT_SENT or delivery.state == Delivery.State.FAILED:
        return str(_WHY_NOT_SENT[Delivery.Reason(delivery.reason)])
    if delivery.attempts:
        return ngettext(
            "Waiting: the mail server has not accepted the e-mail yet (%(count)d attempt). Messenger will try again",
            "Waiting: the mail server has not accepted the e-mail yet (%(count)d attempts). Messenger will try again",
            delivery.attempts,
        ) % {"count": delivery.attempts}
    return _("On the way")


def forecast_in_words(forecast: Forecast, interval_minutes: int, email_from: str) -> str:
    """What posting now would do; `email_from` is the formatted time from which there would be an e-mail."""
    if forecast.reason == Message.Reason.NOTIFICATIONS_OFF:
        return _("No e-mail: notifications are off for this topic. The group can still read your message here.")
    if forecast.recipients == 0 and forecast.reason == Message.Reason.INTERVAL:
        return _(
            "No e-mail if you send now: the last message is less than %(interval)s old, and no one else gets e-mails "
            "about this topic."
        ) % {"interval": interval_in_words(interval_minutes)}
    if forecast.recipients == 0:
        return _("No e-mail: no one else gets e-mails about this topic. The group can still read your message here.")
    if forecast.reason == Message.Reason.INTERVAL:
        return ngettext(
            "No e-mail if you send now: the last message is less than %(interval)s old. "
            "If no one posts before %(time)s, the next message will be e-mailed to %(count)s person.",
            "No e-mail if you send now: the last message is less than %(interval)s old. "
            "If no one posts before %(time)s, the next message will be e-mailed to %(count)s people.",
            forecast.recipients,
        ) % {"interval": interval_in_words(interval_minutes), "time": email_from, "count": _number(forecast.recipients)}
    return ngettext(
        "If you send now, %(count)s person will get an e-mail.",
        "If you send now, %(count)s people will get an e-mail.",
        forecast.recipients,
    ) % {"count": _number(forecast.recipients)}


def removal_in_words(author_pk: int, remover_pk: int, remover: str, reason: str) -> str:
    """The text in place of a removed message."""
    if remover_pk == author_pk:
        return _("This message was removed by its author.")
    if reason:
        return _("This message was removed by %(name)s: %(reason)s") % {"name": remover, "reason": reason}
    return _("This message was removed by %(name)s.") % {"name": remover}
