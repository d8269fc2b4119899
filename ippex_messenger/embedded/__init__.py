"""The servers of `make run` and of the tests: PostgreSQL, Valkey and a mail catcher from Python wheels.

Nothing of the product imports this package but the settings, which ask it for the
addresses of the servers that no environment variable names.
"""
