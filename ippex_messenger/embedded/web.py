"""The application as `make run` serves it: the web server's worker process never outlives the server."""

import os
import signal
from importlib import import_module

from ippex_messenger.embedded.processes import die_with_parent

# The server ends with the supervisor, but if it is killed it can't stop its worker, which would keep the port open.
# Set before the import, because that takes a while.
die_with_parent(os.getppid(), signal.SIGKILL)

application = import_module("ippex_messenger.asgi").application
