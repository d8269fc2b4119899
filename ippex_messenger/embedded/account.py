"""The account that PostgreSQL runs as. PostgreSQL refuses to run as root, so root starts it as `nobody`."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import StartupError


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()  # put before the command: changes to the account; empty if the parent can do it


def unprivileged_account(server: Path, data: Path) -> Account | None:
    """The account that can run the program `server` on the folder `data`; None if the current one can.

    Raises StartupError if the account could not enter the folders and `setpriv` is missing.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _owner(data)
    closed = [path for path in (server, data) if not _can_be_reached_by_all(path)]
    if not closed:
        return Account(uid, gid)
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise StartupError(
            "PostgreSQL does not run as root, and the account nobody is not allowed into the folders above "
            f"{closed[0]}: work as another user, or in a folder that every user may enter."
        )
    return Account(uid, gid, _setpriv_command(setpriv, uid, gid))


def _owner(data: Path) -> tuple[int, int]:
    if data.exists():  # possibly created by an ordinary user, and now run by root
        return data.stat().st_uid, data.stat().st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _can_be_reached_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def _setpriv_command(setpriv: str, uid: int, gid: int) -> tuple[str, ...]:
    # A clone in a folder of root's (mode 0700) stays closed: the account keeps a single capability, the one to
    # override file modes. Changing the account clears the parent-death signal, so it is set again here.
    return (
        setpriv,
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
        "--securebits=+no_setuid_fixup",
        "--pdeathsig=INT",
    )
