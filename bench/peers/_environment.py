"""A virtual environment for each peer, made from its locked requirements (the .txt files beside this module)."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ._servers import PEERS

HERE = Path(__file__).parent
SITES = HERE / "_sites"  # runs in these environments, each file with the libraries of its peer


@dataclass(frozen=True)
class Environment:
    name: str

    @property
    def folder(self) -> Path:
        return PEERS / self.name

    @property
    def python(self) -> Path:
        return self.folder / "venv" / "bin" / "python"

    @property
    def lock(self) -> Path:
        return HERE / f"{self.name}.txt"

    def install(self) -> None:
        """Create the environment, unless it exists with exactly these versions."""
        stamp = self.folder / "installed"
        wanted = hashlib.sha256(self.lock.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        _do([sys.executable, "-m", "venv", "--clear", str(self.folder / "venv")])
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _do([*pip, "--require-hashes", "-r", str(self.lock)])
        stamp.write_text(wanted)

    def run(self, arguments: list[str], variables: Mapping[str, str]) -> str:
        """Run the environment's Python. Returns its standard output; standard error goes to the terminal."""
        return _do([str(self.python), *arguments], variables)


def _do(command: list[str], variables: Mapping[str, str] | None = None) -> str:
    environment = {**os.environ, **(variables or {})}
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment).stdout
