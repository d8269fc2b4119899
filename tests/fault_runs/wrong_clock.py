"""The web application as `make run` serves it, with a clock that is off by the seconds in the file CLOCK."""

import os
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from threading import Thread

import time_machine

POLL_SECONDS = 0.05


def follow(clock: Path) -> None:
    travel, current = None, "0"
    while True:
        seconds = clock.read_text()
        if seconds and seconds != current:
            if travel:
                travel.stop()
            travel, current = time_machine.travel(datetime.now(tz=UTC) + timedelta(seconds=float(seconds))), seconds
            travel.start()
        time.sleep(POLL_SECONDS)


Thread(target=follow, args=[Path(os.environ["CLOCK"])], daemon=True).start()
application = import_module("ippex_messenger.embedded.web").application
