"""The application as `make run` serves it: the server's worker process does not outlive the server."""

import os
import signal
from importlib import import_module

from ippex_messenger.embedded.processes import die_with

# The server itself dies with the supervisor, but killed together with it, it has no time left to stop
# its worker, which would keep the port. Bound before the import, which takes its time.
die_with(os.getppid(), signal.SIGKILL)

application = import_module("ippex_messenger.asgi").application
