"""Migrations and demo data in one process, imported while the servers still start."""

import os
import sys


def main() -> None:
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
    django.setup()
    if not sys.stdin.readline():  # the supervisor says when the servers answer; it is gone
        sys.exit(1)
    call_command("migrate", interactive=False, verbosity=0)
    if "--demo" in sys.argv:
        call_command("demo")


if __name__ == "__main__":
    main()
