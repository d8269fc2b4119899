"""Who PostgreSQL runs as: it refuses root, so under root it runs as `nobody`."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import Refused


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()  # a command that changes to the account by itself


def unprivileged_account(server: Path, data: Path) -> Account | None:
    """The account that runs `server` on the folder `data`; None where the present one will do."""
    if os.geteuid() != 0:
        return None
    uid, gid = _owner(data)
    closed = [path for path in (server, data) if not _open_to_everybody(path)]
    if not closed:
        return Account(uid, gid)
    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise Refused(
            "PostgreSQL does not run as root, and the account nobody may not enter the folders above "
            f"{closed[0]}: work as another user, or in a folder that everybody may enter."
        )
    return Account(uid, gid, _reaching_closed_folders(setpriv, uid, gid))


def _owner(data: Path) -> tuple[int, int]:
    if data.exists():  # maybe made by a user, before root came to run it
        return data.stat().st_uid, data.stat().st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _open_to_everybody(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def _reaching_closed_folders(setpriv: str, uid: int, gid: int) -> tuple[str, ...]:
    # A clone in a folder of root's own (mode 0700) stays as closed as it is: the one right to pass by
    # such modes is left to the account. The wish to die with the parent is lost when the account
    # changes, so it is made here again.
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
