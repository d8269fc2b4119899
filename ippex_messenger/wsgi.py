"""Pages in production: threads that live long and keep their connection to PostgreSQL."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ippex_messenger.settings")
os.environ.setdefault("DATABASE_CONN_MAX_AGE", "600")

application = get_wsgi_application()
