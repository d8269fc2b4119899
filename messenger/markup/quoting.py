"""A message as somebody who answers it quotes it."""

import re

from messenger.models import Message

_MARKDOWN = re.compile(r"([\\`*_\[\]<>~@&|])")


def quotation_of(message: Message) -> str:
    """Its text as a Markdown quote under its author's name, and an empty line to go on in."""
    name = _MARKDOWN.sub(r"\\\1", message.author.name)
    lines = [f"**{name}:**", *message.body.strip("\n").split("\n")]
    return "".join(f"> {line}".rstrip() + "\n" for line in lines) + "\n"
