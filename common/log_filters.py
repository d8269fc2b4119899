import logging
import re

# These links grant access to anyone who has them, so their keys must not appear in logs.
_SECRET_LINKS = re.compile(r"(/invitations/|/unsubscribe/|/accounts/password/reset/key/)[^/\s]+")


class RedactTokens(logging.Filter):
    """Replaces the secret part of a link in log messages about requests."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _SECRET_LINKS.sub(r"\1…", record.getMessage())
        record.args = ()
        return True
