"""What processes cost, by /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

MS_A_TICK = 1000 / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """Of /proc/PID/stat, those after the name, which may hold anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                children.setdefault(int(_fields(int(folder.name))[1]), []).append(int(folder.name))
            except OSError:
                continue  # gone meanwhile
    members, to_see = [], [pid]
    while to_see:
        one = to_see.pop()
        members.append(one)
        to_see += children.get(one, [])
    return members


def cpu_ms(pids: Iterable[int]) -> float:
    """Used by these processes, and by those of their children that are gone."""
    total = 0
    for pid in pids:
        try:
            fields = _fields(pid)
        except OSError:
            continue
        total += sum(int(number) for number in fields[11:15])
    return total * MS_A_TICK


def pss_kib(pid: int | str) -> int:
    """Memory, with what is shared split among those who share it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
