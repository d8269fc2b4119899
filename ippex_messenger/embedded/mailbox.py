"""The pages of the mail catcher: the list, one mail, its HTML part, its source."""

import email.policy
from datetime import datetime
from email.message import EmailMessage
from email.parser import BytesParser
from html import escape
from pathlib import Path

# Enough for reading by hand; a list of thousands would only be slow.
MAX_LISTED = 200

_STYLE = """
:root { color-scheme: light dark; --line: light-dark(#dfddd6, #313c3a); --accent: light-dark(#0f6b5c, #69cdb9); }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
table { width: 100%; border-collapse: collapse; } a { color: var(--accent); }
th, td { padding: .5rem .75rem; border-bottom: 1px solid var(--line); text-align: left; overflow-wrap: anywhere; }
td:first-child { white-space: nowrap; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
iframe { width: 100%; height: 24rem; border: 1px solid var(--line); background: #fff; }
"""


class Mailbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Content type and body for `/`, `/ID`, `/ID/html` and `/ID/source`; None for anything else."""
        if path == "/":
            return "text/html; charset=utf-8", self._list().encode()
        name, _, part = path.removeprefix("/").partition("/")
        file = self.folder / f"{name}.eml"
        if not name.isalnum() or not file.is_file():
            return None
        if part == "source":
            return "text/plain; charset=utf-8", file.read_bytes()
        mail = _read(file)
        if part == "html":
            return "text/html; charset=utf-8", _content(mail, "html").encode()
        return ("text/html; charset=utf-8", _page_of(name, mail).encode()) if not part else None

    def _list(self) -> str:
        files = sorted(self.folder.glob("*.eml"), key=lambda file: file.stat().st_mtime, reverse=True)
        rows = "".join(_row(file) for file in files[:MAX_LISTED])
        count = f"{len(files)} mails" if len(files) != 1 else "1 mail"
        limit = f", the latest {MAX_LISTED} are shown" if len(files) > MAX_LISTED else ""
        return _page(
            "Caught mails",
            f"<h1>Caught mails</h1><p>{count}{limit}. None of them was delivered. This page refreshes itself.</p>"
            f"<table><thead><tr><th>Time</th><th>To</th><th>Subject</th></tr></thead><tbody>{rows}</tbody></table>",
            head='<meta http-equiv="refresh" content="5">',
        )


def _read(file: Path) -> EmailMessage:
    return BytesParser(EmailMessage, policy=email.policy.default).parsebytes(file.read_bytes())


def _content(mail: EmailMessage, kind: str) -> str:
    body = mail.get_body((kind,))
    return str(body.get_content()) if body else ""


def _row(file: Path) -> str:
    mail = _read(file)
    time = datetime.fromtimestamp(file.stat().st_mtime).astimezone()
    return (
        f"<tr><td>{time:%d %b %H:%M:%S}</td><td>{escape(str(mail['To']))}</td>"
        f'<td><a href="/{file.stem}">{escape(str(mail["Subject"]))}</a></td></tr>'
    )


def _page_of(name: str, mail: EmailMessage) -> str:
    headers = "".join(f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in mail.items())
    html = f'<h2>HTML</h2><iframe sandbox src="/{name}/html" title="HTML"></iframe>' if mail.get_body(("html",)) else ""
    return _page(
        str(mail["Subject"]),
        f'<p><a href="/">← All mails</a> · <a href="/{name}/source">Source</a></p>'
        f"<h1>{escape(str(mail['Subject']))}</h1>"
        f"<h2>Text</h2><pre>{escape(_content(mail, 'plain'))}</pre>{html}<h2>Headers</h2><table>{headers}</table>",
    )


def _page(title: str, body: str, head: str = "") -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"{head}<title>{escape(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>"
    )
