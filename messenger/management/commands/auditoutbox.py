from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from messenger.models import Delivery, Message
from messenger.notifications.monitoring.audit import PATIENCE, audit


class Command(BaseCommand):
    help = "Verify that each message has its one decision and its deliveries, and that no mail waits too long."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--patience",
            type=int,
            default=int(PATIENCE.total_seconds()),
            metavar="SECONDS",
            help="how long a mail that is due may wait (%(default)s)",
        )

    def handle(self, *args: Any, patience: int, **options: Any) -> None:
        wrong = audit(timedelta(seconds=patience))
        for findings in wrong:
            for sentence in findings.listed:
                self.stdout.write(sentence)
            if findings.unlisted:
                self.stdout.write(f"... and {findings.unlisted} more like these.")
        checked = f"{Message.objects.count()} messages and {Delivery.objects.count()} deliveries checked"
        count = sum(findings.count for findings in wrong)
        if count:
            raise CommandError(f"{checked}: {count} {'thing is' if count == 1 else 'things are'} wrong.")
        self.stdout.write(
            f"{checked}: each message has one decision, each member then due has one delivery, nothing waits too long."
        )
