"""The product's settings, and the application that takes the guard away (the variable WITHOUT names it)."""

import os

from ippex_messenger.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, f"tests.fault_runs.controls.{os.environ['WITHOUT']}"]  # noqa: F405
