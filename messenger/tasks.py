from celery import shared_task

from messenger import outbox
from messenger.models import Delivery


@shared_task
def notify_members(message_pk: int) -> None:
    """A message was posted that is to be e-mailed."""
    outbox.fan_out(message_pk)
    outbox.deliver(Delivery.objects.filter(message=message_pk))


@shared_task
def sweep() -> None:
    """Regularly: whatever no other task came to do."""
    outbox.sweep()
