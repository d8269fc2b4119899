"""The product's settings over servers of the tests' own, so that a running `make run` is left alone."""

import os
from pathlib import Path

os.environ.setdefault("MESSENGER_HOME", str(Path(__file__).resolve().parent.parent / "var" / "test"))

from ippex_messenger.settings import *  # noqa: E402, F403

# The real hasher is slow on purpose; hundreds of sign-ins would take minutes.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
BASE_URL = "http://messenger.test"
