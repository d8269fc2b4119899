"""`python -m ippex_messenger.embedded run`: the whole stack; `servers`: PostgreSQL and Valkey only."""

import argparse
import os
import signal
import sys

from .errors import StartupError
from .processes import die_with_parent
from .run import run, run_servers

COMMANDS = {"run": run, "servers": run_servers}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ippex_messenger.embedded", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    if "MAKELEVEL" in os.environ:  # killing make should stop what it runs
        die_with_parent(os.getppid(), signal.SIGTERM)
    try:
        command()
    except KeyboardInterrupt:  # before anything was started
        sys.exit(0)
    except StartupError as error:
        sys.exit(str(error))
    except PermissionError as error:
        sys.exit(f"{error.filename} belongs to another account: run as the account that ran this first.")


if __name__ == "__main__":
    main()
