"""The mail catcher: takes every mail, delivers none, shows all on a page."""

import logging
import secrets
import sys

from .home import Home, free_port
from .processes import Program


def mailcatcher(home: Home) -> Program:
    return Program(
        name="mailcatcher",
        command=(
            *(sys.executable, "-m", __name__, "--host", "127.0.0.1", "--user", "everybody@localhost"),
            *("--smtp-port", str(home.smtp_port), "--http-port", str(home.mailbox_port)),
            *("--imap-port", str(free_port())),  # nobody asks for it, and it cannot be turned off
        ),
        environment={"MAIL_PASSWORD": secrets.token_urlsafe()},  # for IMAP; SMTP and the page want none
    )


def main() -> None:
    from mail_devel.__main__ import main as catch_mails

    logging.disable(logging.INFO)  # it logs the addresses of every mail
    catch_mails()


if __name__ == "__main__":
    main()
