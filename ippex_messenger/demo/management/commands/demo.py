from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ippex_messenger.demo.create import create_demo
from ippex_messenger.demo.people import PASSWORD, PEOPLE
from ippex_messenger.embedded.home import Home


class Command(BaseCommand):
    help = "Create the demo tenancies northwind and aurora, unless they exist."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--force", action="store_true", help="even if the database is not the embedded one")

    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        if not (force or self._is_embedded()):
            raise CommandError("This is not the embedded database; use --force to create the demo data in it.")
        create_demo()
        self.stdout.write(f"Demo accounts, each with the password “{PASSWORD}”:\n")
        for person in PEOPLE:
            self.stdout.write(f"  {person.email:<32} {person.what}")

    def _is_embedded(self) -> bool:
        home = Home.current()
        database = settings.DATABASES["default"]
        return database["HOST"] == "127.0.0.1" and database["PORT"] == home.postgres_port and (
            database["PASSWORD"] == home.postgres_password
        )  # fmt: skip
