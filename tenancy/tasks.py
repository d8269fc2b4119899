from celery import shared_task

from tenancy import invitations


@shared_task
def send_due_invitations() -> None:
    invitations.send_due_invitations()
