"""The product's settings with the app that removes a safeguard; the variable WITHOUT names it."""

import os

from ippex_messenger.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, f"tests.fault_runs.controls.{os.environ['WITHOUT']}"]  # noqa: F405
