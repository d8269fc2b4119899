"""Pages in production: threads that live long and keep their connection to PostgreSQL."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
os.environ.setdefault("DATABASE_CONN_MAX_AGE", "600")

application = get_wsgi_application()
get_resolver().url_patterns  # noqa: B018  (imports all views)

# A page leaves cycles behind that hold on to its HTML. What is loaded by now stays for good: the collector, free
# of looking through it, has the time to come round often. A full round takes 5 ms instead of 100.
gc.freeze()
gc.set_threshold(700, 2, 2)
