"""CPU time and memory of processes, from /proc."""

import os
from collections.abc import Iterable
from pathlib import Path

MS_PER_TICK = 1000 / os.sysconf("SC_CLK_TCK")


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the program's name, which may contain any character."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def process_tree(pid: int) -> list[int]:
    """A process and all of its descendants; the process itself is the first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                children.setdefault(int(_fields(int(folder.name))[1]), []).append(int(folder.name))
            except OSError:
                continue  # it has just ended
    tree, remaining = [], [pid]
    while remaining:
        current = remaining.pop()
        tree.append(current)
        remaining += children.get(current, [])
    return tree


def cpu_ms(pids: Iterable[int]) -> float:
    """CPU time in milliseconds that these processes and their ended children have used; 0 for ended processes."""
    total = 0
    for pid in pids:
        try:
            fields = _fields(pid)
        except OSError:
            continue
        total += sum(int(number) for number in fields[11:15])
    return total * MS_PER_TICK


def pss_kib(pid: int | str) -> int:
    """The proportional set size of a process: shared memory is divided among the processes that share it."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
