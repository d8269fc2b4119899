"""The project's settings. The README lists every environment variable.

By default the application uses the embedded servers (`make run`). `DATABASE_URL`, `REDIS_URL` and `EMAIL_URL` each
replace one of them. With `DATABASE_URL` set and `DEBUG` not set, the application is in production mode: it refuses to
start without a secret key and allowed hosts.
"""

from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _
from redis.backoff import NoBackoff
from redis.retry import Retry

from ippex_messenger.embedded.home import Home

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DEBUG = env.bool("DEBUG", default=False)
PRODUCTION = "DATABASE_URL" in env.ENVIRON and not DEBUG


def _required(name: str) -> str:
    if PRODUCTION and not env.str(name, default=""):
        raise ImproperlyConfigured(f"{name} must be set where DATABASE_URL is set and DEBUG is not.")
    return env.str(name, default="")


SECRET_KEY = _required("SECRET_KEY") or Home.current().secret_key
ALLOWED_HOSTS = [host for host in _required("ALLOWED_HOSTS").split(",") if host] or [
    "localhost",
    "127.0.0.1",
    "[::1]",
]
BASE_URL = env.str("BASE_URL", default="").rstrip("/") or (
    f"http://127.0.0.1:{env.int('PORT', default=0) or Home.current().web_port()}"
)
SERVED_OVER_HTTPS = urlsplit(BASE_URL).scheme == "https"

INSTALLED_APPS = [
    "messenger",
    "tenancy",
    "accounts",
    "ippex_messenger.demo",  # for `manage.py demo`
    "allauth",
    "allauth.account",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.forms",
    "crispy_forms",
    "crispy_bootstrap5",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "common.middleware.ContentSecurityPolicyMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "common.middleware.RefuseUnreadableMiddleware",
    "tenancy.session_engine.SessionMiddleware",
    "accounts.middleware.AuthenticationMiddleware",
    "accounts.middleware.PersonalSettingsMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "tenancy.middleware.CurrentMemberMiddleware",
    # After that: the token of a page that another person opened is wrong too, which would say less about it.
    "django.middleware.csrf.CsrfViewMiddleware",
]

ROOT_URLCONF = "ippex_messenger.urls"
WSGI_APPLICATION = "ippex_messenger.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "libraries": {"django_tables2": "common.templatetags.tables"},
            "builtins": [
                "crispy_forms.templatetags.crispy_forms_tags",
                "django.templatetags.i18n",
                "django.templatetags.static",
                "django.templatetags.tz",
                "common.templatetags.interface",
                "common.templatetags.kept",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tenancy.context_processors.current_member",
                "messenger.web.context_processors.main_menu",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"
CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

# -- State: PostgreSQL and Redis hold all of it ------------------------------------------------------

DATABASES = {"default": env.db("DATABASE_URL", default=Home.current().database_url)}
# Under ASGI, persistent connections are never reused and pile up. wsgi.py turns them on.
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=0)
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
# Plan a prepared statement once, not again for each of its first executions (common/database/prepared.py). No JIT:
# compiling a statement takes longer than running it.
DATABASES["default"]["OPTIONS"]["options"] = (
    DATABASES["default"]["OPTIONS"].get("options", "") + " -c plan_cache_mode=force_generic_plan -c jit=off"
).strip()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default=Home.current().redis_url)
# The longest that an unavailable or frozen Redis may delay a request. With the clients' defaults it was measured to
# delay one by 25 seconds and more.
REDIS_TIMEOUT_SECONDS = 0.5

CACHES = {
    "default": {
        "BACKEND": "common.caching.redis_cache.FailOpenRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "messenger",
        "OPTIONS": {
            "socket_timeout": REDIS_TIMEOUT_SECONDS,
            "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    }
}
SESSION_ENGINE = "tenancy.session_engine"  # in the database: cached_db fails when Redis is unavailable

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": REDIS_TIMEOUT_SECONDS,
    "socket_connect_timeout": REDIS_TIMEOUT_SECONDS,
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "ippex_messenger.beat:SteadyScheduler"
# How long a mail can wait if its hint on the queue is lost.
SWEEP_SECONDS = 10
CELERY_BEAT_SCHEDULE = {
    "send-password-resets": {
        "task": "accounts.tasks.send_password_resets",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "send-due-invitations": {
        "task": "tenancy.tasks.send_due_invitations",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "send-catch-ups": {
        "task": "messenger.tasks.send_catch_ups",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
    "sweep-notifications": {
        "task": "messenger.tasks.sweep",
        "schedule": SWEEP_SECONDS,
        "options": {"expires": SWEEP_SECONDS},
    },
}

# -- Mail ---------------------------------------------------------------------------------------------

vars().update(env.email_url("EMAIL_URL", default=Home.current().email_url))
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="IPPEX Cloud Messenger <messenger@localhost>")

# -- People -------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "accounts.password_validators.VisibleLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # accepting the invitation that was mailed to an address verifies it
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = None
ACCOUNT_FORMS = {
    "login": "accounts.forms.LoginForm",
    "change_password": "accounts.forms.ChangePasswordForm",
    "reset_password": "accounts.forms.ResetPasswordForm",
    "reset_password_from_key": "accounts.forms.ResetPasswordKeyForm",
}
# The key is the address that was typed, known or unknown: nobody can fill the inbox of somebody else.
ACCOUNT_RATE_LIMITS = {"reset_password": "20/m/ip,1/m/key,5/d/key"}
# The number of our own proxies. allauth trusts as many entries of X-Forwarded-For.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", default=0)

LANGUAGE_CODE = "en-gb"
# The interface is in English only. The two variants differ in how they write dates, so users choose by an example.
LANGUAGES = [("en-gb", _("22 November 2026, 14:05")), ("en", _("Nov. 22, 2026, 2:05 p.m."))]
FORMAT_MODULE_PATH = ["ippex_messenger.formats"]
USE_THOUSAND_SEPARATOR = True
USE_TZ = True
TIME_ZONE = "UTC"

# -- Protection ---------------------------------------------------------------------------------------

SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],  # data: Bootstrap's style sheet draws its check marks with it
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: [] for name in ("camera", "geolocation", "microphone", "payment", "usb", "interest-cohort")
}
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SERVED_OVER_HTTPS
CSRF_COOKIE_HTTPONLY = True  # scripts read the token from the form
CSRF_TRUSTED_ORIGINS = [BASE_URL]
CSRF_FAILURE_VIEW = "ippex_messenger.views.csrf_failure"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if SERVED_OVER_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SERVED_OVER_HTTPS
SECURE_SSL_REDIRECT = SERVED_OVER_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if env.bool("TRUST_FORWARDED_PROTO", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# The members of a group are chosen by check boxes, each of them a field: a group may have a few thousand.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

# -- Static files -------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic, not even in production

# -- Logs: ids only; never message text, addresses, tokens or cookies ---------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name} {message}", "style": "{"}},
    "filters": {"redact_tokens": {"()": "common.log_filters.RedactTokens"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["redact_tokens"]},
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "celery": {"level": "WARNING"},
        "kombu": {"level": "WARNING"},
    },
}
