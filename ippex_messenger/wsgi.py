"""Pages in production: threads that live long and keep their connection to PostgreSQL."""

import ctypes
import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

M_ARENA_MAX = -8  # glibc's malloc.h

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
os.environ.setdefault("DATABASE_CONN_MAX_AGE", "600")

# The C library would keep memory for each thread apart, and in each as much as the largest page ever took. Python's
# threads take turns anyway. Where there is no such setting (musl, macOS) there is nothing to be set.
if set_malloc := getattr(ctypes.CDLL(None), "mallopt", None):
    set_malloc(M_ARENA_MAX, 1)

application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  (imports all views but the rare ones)

# A page leaves cycles behind that hold on to its HTML. What is loaded by now stays for good: the collector, free
# of looking through it, has the time to come round often. A full round takes 5 ms instead of 100.
gc.collect()
gc.freeze()
gc.set_threshold(700, 2, 2)
