import getpass
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from accounts.models import User
from accounts.users import create_user
from common.addresses import readable_address
from tenancy.models import Member, Tenancy


class Command(BaseCommand):
    help = "Create a user with an active membership of a tenancy, or add an existing user to it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="of the tenancy")
        parser.add_argument("email")
        parser.add_argument("--name", required=True, help="shown to the other members of the tenancy")
        parser.add_argument("--administrator", action="store_true")
        parser.add_argument("--messenger-manager", action="store_true")
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")

    @transaction.atomic
    def handle(self, *args: Any, slug: str, email: str, name: str, **options: Any) -> None:
        tenancy = Tenancy.objects.filter(slug=slug).first()
        if tenancy is None:
            raise CommandError(f"There is no tenancy {slug}.")
        try:
            user = User.objects.with_address(email).first() or create_user(email, self._password(options))
            member = Member(
                tenancy=tenancy,
                user=user,
                name=name,
                is_administrator=options["administrator"],
                is_messenger_manager=options["messenger_manager"],
            )
            member.full_clean()
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        member.save()
        self.stdout.write(f"{member.name} <{readable_address(user.email)}> is a member of {tenancy.name}.")

    def _password(self, options: dict[str, Any]) -> str:
        if options["password_stdin"]:
            return sys.stdin.readline().rstrip("\r\n")
        return getpass.getpass("Password: ")
