from celery import shared_task

from accounts import passwords


@shared_task
def send_password_resets() -> None:
    passwords.send_resets()
