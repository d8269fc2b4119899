"""What the composer of a page holds, as a browser would send it."""

import re
from html import unescape


def text_in(page: str) -> str:
    # The first new line belongs to the element, not to its text.
    (text,) = re.findall(r'<textarea name="body"[^>]*>\n?(.*?)</textarea>', page, re.DOTALL)
    return unescape(text)


def client_id_in(page: str) -> str:
    (client_id,) = re.findall(r'name="client_id" value="([^"]+)"', page)
    return str(client_id)


def error_in(page: str) -> str:
    """What is said to be wrong with the text; empty where nothing is."""
    found = re.search(r'id="id_body_error" role="alert">.*?</span>\s*(.*?)\s*</p>', page, re.DOTALL)
    return unescape(found[1]) if found else ""
