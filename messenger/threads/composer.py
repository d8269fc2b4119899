"""What is in the composer of a thread; templates/messenger/threads/_composer.html shows it."""

from dataclasses import dataclass, field, replace
from uuid import UUID, uuid4

from django.http import QueryDict
from django.utils.safestring import SafeString


def _new_client_id() -> str:
    return str(uuid4())


@dataclass(frozen=True)
class Composer:
    """A text, the id of the message that it becomes, and what is wrong with it.

    No form of Django's, whose making for each post took a fortieth of it: what a text may be, bodies.clean_body says.
    """

    body: str = ""
    # Tells a retry and a double click from a second message.
    client_id: str = field(default_factory=_new_client_id)
    error: str = ""
    preview: SafeString | None = None  # the text as it would be shown

    @classmethod
    def sent(cls, sent: QueryDict) -> "Composer":
        """As a page sent it, whatever that was."""
        return cls(sent.get("body", ""), sent.get("client_id", ""))

    @property
    def uuid(self) -> UUID | None:
        """The client id; None where the page sent none that is one."""
        try:
            return UUID(self.client_id)
        except ValueError:
            return None

    def refused(self, error: str) -> "Composer":
        return replace(self, error=error)

    def with_new_id(self) -> "Composer":
        """Keeps what was typed, for a message of its own."""
        return replace(self, client_id=_new_client_id())
