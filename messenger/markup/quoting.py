"""Quotes a message for a reply."""

import re

from messenger.models import Message

_SPECIAL_CHARACTERS = re.compile(r"([\\`*_\[\]<>~@&|])")


def quotation_of(message: Message) -> str:
    """The text as a Markdown quote below the author's name, followed by an empty line for the reply."""
    name = _SPECIAL_CHARACTERS.sub(r"\\\1", message.author.name)
    lines = [f"**{name}:**", *message.body.strip("\n").split("\n")]
    return "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n"
