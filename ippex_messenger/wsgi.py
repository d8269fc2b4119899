"""WSGI entry point: the pages in production, served by long-lived threads with persistent database connections."""

import ctypes
import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

M_ARENA_MAX = -8  # glibc's malloc.h

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
os.environ.setdefault("DATABASE_CONN_MAX_AGE", "600")

# By default glibc gives each thread an arena of its own, and each arena holds as much memory as the largest page ever
# took. Python's threads take turns anyway, so one arena is enough. musl and macOS have no such setting.
if set_malloc := getattr(ctypes.CDLL(None), "mallopt", None):
    set_malloc(M_ARENA_MAX, 1)

application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  (imports all views except the rarely used ones)

# Each page leaves reference cycles that hold its HTML, so the collector should run often. It can afford to because
# everything loaded so far is exempt: a full collection takes 5 ms instead of 100.
gc.collect()
gc.freeze()
gc.set_threshold(700, 2, 2)
