from celery import shared_task

from common.jobs import enqueue_on_commit
from messenger.models import Delivery
from messenger.notifications.catch_up import digest
from messenger.notifications.delivery import outbox


@shared_task
def notify_members(message_pk: int) -> None:
    """A message was posted that is to be e-mailed."""
    outbox.fan_out(message_pk)
    if outbox.is_worth_two(message_pk):
        enqueue_on_commit(help_to_notify.name, message_pk)
    outbox.deliver(Delivery.objects.filter(message=message_pk))


@shared_task
def help_to_notify(message_pk: int) -> None:
    """A message has many mails: while one worker waits for the mail server or the database, another can send."""
    outbox.deliver(Delivery.objects.filter(message=message_pk), from_the_middle=True)


@shared_task
def sweep() -> None:
    """Regularly: whatever no other task came to do."""
    outbox.sweep()


@shared_task
def send_catch_ups() -> None:
    """Regularly: to whom it is morning."""
    digest.send_due()
