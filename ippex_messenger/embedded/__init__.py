"""The embedded servers of `make run` and the tests: PostgreSQL, Valkey and a mail catcher, from Python wheels.

In the rest of the product only the settings and `manage.py demo` import this package. The settings take from it the
addresses of the servers for which no environment variable is set.
"""
