"""Migrates the database and creates the demo data, in one process that does its imports while the servers start."""

import os
import sys


def main() -> None:
    import django
    from django.core.management import call_command

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
    django.setup()
    if not sys.stdin.readline():  # the supervisor sends a line when the servers answer; without one it has exited
        sys.exit(1)
    call_command("migrate", interactive=False, verbosity=0)
    if "--demo" in sys.argv:
        call_command("demo")


if __name__ == "__main__":
    main()
