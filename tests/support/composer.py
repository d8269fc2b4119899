"""Reads the composer from a page's HTML: its text and client id as a browser would send them, and its error."""

import re
from html import unescape


def text_in(page: str) -> str:
    # HTML ignores a line break right after the opening tag.
    (text,) = re.findall(r'<textarea name="body"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL)
    return unescape(text)


def client_id_in(page: str) -> str:
    (client_id,) = re.findall(r'name="client_id" value="([^"]+)"', page)
    return str(client_id)


def error_in(page: str) -> str:
    """The error message about the text; empty if there is none."""
    found = re.search(r'id="id_body_error" role="alert">.*?</span>\s*(.*?)\s*</p>', page, re.DOTALL)
    return unescape(found[1]) if found else ""
