from django.apps import AppConfig
from django.core.mail import get_connection


class WithoutOutbox(AppConfig):
    """Mails are sent only by the task that a post enqueues, as many products do."""

    name = "tests.fault_runs.controls.outbox"
    label = "without_outbox"

    def ready(self) -> None:
        from messenger.notifications.delivery import outbox

        outbox.fan_out = send_to_everybody
        outbox.deliver = outbox.sweep = do_nothing  # type: ignore[assignment]


def send_to_everybody(message_pk: int) -> None:
    from messenger.models import Message
    from messenger.notifications.delivery.mails import message_mail
    from messenger.notifications.recipients import members_at

    message = Message.objects.select_related("topic").get(pk=message_pk)
    members = members_at(message).exclude(pk=message.author_id).select_related("user", "tenancy")
    with get_connection() as connection:
        for member in members:
            connection.send_messages([message_mail(message, member)])


def do_nothing(*_args: object) -> None:
    pass
