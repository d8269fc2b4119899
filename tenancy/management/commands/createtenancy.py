from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from tenancy.models import Tenancy


class Command(BaseCommand):
    help = "Create a tenancy (a client organisation), with Messenger off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="the first part of its URLs: /SLUG/")
        parser.add_argument("--name", required=True)

    def handle(self, *args: Any, slug: str, name: str, **options: Any) -> None:
        tenancy = Tenancy(slug=slug, name=name)
        try:
            tenancy.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        tenancy.save()
        self.stdout.write(f"Created {tenancy.name} at /{tenancy.slug}/, with Messenger off.")
