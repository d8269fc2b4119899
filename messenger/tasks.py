from celery import shared_task

from common.jobs import enqueue_on_commit
from messenger.models import Delivery
from messenger.notifications.catch_up import digest
from messenger.notifications.delivery import outbox


@shared_task
def notify_members(message_pk: int) -> None:
    """Send the mails about a message that was just posted."""
    outbox.fan_out(message_pk)
    if outbox.needs_second_worker(message_pk):
        enqueue_on_commit(help_to_notify.name, message_pk)
    outbox.deliver(Delivery.objects.filter(message=message_pk))


@shared_task
def help_to_notify(message_pk: int) -> None:
    """Help with a message of many mails: while one worker waits for mail server or database, the other one sends."""
    outbox.deliver(Delivery.objects.filter(message=message_pk), start_in_the_middle=True)


@shared_task
def sweep() -> None:
    """Scheduled: do what no other task has done, because it was lost or failed."""
    outbox.sweep()


@shared_task
def send_catch_ups() -> None:
    """Scheduled: send the catch-up mails that are due, in the morning of each member's time zone."""
    digest.send_due()
