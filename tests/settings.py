"""The product's settings with servers for the tests only, so that they don't disturb a running `make run`."""

import os
from pathlib import Path

# Each process of a parallel run has its own servers.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
FOLDER = Path(__file__).resolve().parent.parent / "var" / "test"
os.environ["MESSENGER_HOME"] = os.environ.get("TEST_HOME", str(FOLDER)) + WORKER

from ippex_messenger.settings import *  # noqa: E402, F403

# The real hasher is slow on purpose: hundreds of sign-ins would take minutes.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
BASE_URL = "http://messenger.test"
