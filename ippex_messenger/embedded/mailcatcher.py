"""The mail catcher: accepts every mail by SMTP, delivers none, stores each as a file and lists them on a page."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from .home import Home
from .mailbox import Mailbox
from .processes import Program


def mailcatcher(home: Home) -> Program:
    return Program(name="mailcatcher", command=(sys.executable, "-m", __name__))


class MailWriter:
    """aiosmtpd's handler: writes each mail to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        temporary = self.folder / f"{uuid4().hex}.new"
        content = envelope.content
        temporary.write_bytes(content if isinstance(content, bytes) else str(content).encode())
        temporary.rename(temporary.with_suffix(".eml"))  # so that the page never shows half a mail
        return "250 OK"


def main() -> None:
    home = Home.current()
    folder = home.folder / "mails"
    folder.mkdir(mode=0o700, exist_ok=True)
    Controller(MailWriter(folder), hostname="127.0.0.1", port=home.smtp_port).start()
    with ThreadingHTTPServer(("127.0.0.1", home.mailbox_port), _pages(Mailbox(folder))) as server:
        server.serve_forever()


def _pages(mailbox: Mailbox) -> type[BaseHTTPRequestHandler]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = mailbox.answer(self.path)
            if answer is None:
                return self.send_error(404)
            content_type, body = answer
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            # The content of a mail is displayed, but its scripts never run.
            self.send_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"
            )
            self.end_headers()
            self.wfile.write(body)
            return None

        def log_message(self, *_args: object) -> None:
            """Logs nothing: addresses and subjects don't belong in a log."""

    return Pages


if __name__ == "__main__":
    main()
