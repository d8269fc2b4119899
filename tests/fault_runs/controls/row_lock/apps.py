from django.apps import AppConfig
from django.core.mail.backends.base import BaseEmailBackend


class WithoutRowLock(AppConfig):
    """Every process that finds a due delivery sends it, without claiming it first."""

    name = "tests.fault_runs.controls.row_lock"
    label = "without_row_lock"

    def ready(self) -> None:
        from messenger.notifications.delivery import outbox

        outbox._deliver_one = deliver_unclaimed


def deliver_unclaimed(pk: int, connection: BaseEmailBackend) -> None:
    from common.mail.sending import send
    from messenger.models import Delivery
    from messenger.notifications.delivery import outbox
    from messenger.notifications.delivery.mails import message_mail

    delivery = Delivery.objects.get(pk=pk)
    send(message_mail(delivery.message, delivery.member), connection)
    outbox._settle(delivery, Delivery.State.SENT)
