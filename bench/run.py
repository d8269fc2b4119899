"""`python -m bench run`: fills the database, measures everything and prints the table of goals."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench import goals, table
from bench.load import find_wrk
from bench.proc import pss_kib
from bench.rotation import ROUNDS, TURN_SECONDS, as_json, rotate
from bench.shape import FULL, Shape
from bench.stack import FOLDER, Stack, stack
from bench.targets import Target

STREAMS = 1_000
PEER_MESSAGES = 1_000


def say(text: str) -> None:
    print(text, flush=True)


@contextmanager
def filled_stack(shape: Shape, folder: Path = FOLDER) -> Iterator[Stack]:
    """The stack with its data and all of its programs except those for streams."""
    find_wrk()
    with stack(folder) as running:
        from bench import floors
        from bench.fill import fill

        begun = time.monotonic()
        was_filled = fill(shape)
        say(f"Filled in {time.monotonic() - begun:.0f} s." if was_filled else "Filled before.")
        floors.make_tables()
        for name in ("sink", "floor", "pages"):
            running.start(name)
        yield running


def run(
    *,
    seconds: int = TURN_SECONDS,
    rounds: int = ROUNDS,
    only: Sequence[str] = (),
    with_peers: bool = False,
    shape: Shape = FULL,
) -> bool:
    """Measure, print and save the results. Returns whether every goal that was measured is met.

    `seconds`: length of a turn. `only`: parts of names; what contains none of them is not measured.
    """
    with ExitStack() as at_end:
        running = at_end.enter_context(filled_stack(shape))
        from bench import contestants, mails, streams
        from bench.remains import remains
        from bench.scene import Scene

        scene = Scene(shape)
        scene.undo_posts()
        single: dict[str, float] = {}
        if _is_wanted("mails", only):
            say("Mails …")
            single |= mails.measure(running, scene)
        # The first message after a pause is e-mailed. Those of the rotation should be within the interval, as most are.
        scene.start_intervals(running.url("pages"))
        mails.discard_queue(running)
        peers = [(peer, _start_peer(peer, at_end)) for peer in (contestants.find_peers() if with_peers else ())]
        ours = contestants.ours(running, scene)
        rotation = [
            contestant
            for contestant in (*contestants.floors(running), *ours, *contestants.of_peers(peers))
            if _is_wanted(contestant.name, only) or contestant.name in (goals.FLOOR_PAGE, goals.FLOOR_WRITE)
        ]
        say(f"{len(rotation)} take turns of {seconds} s, {rounds} rounds: {len(rotation) * seconds * rounds} s …")
        figures = rotate(rotation, seconds, rounds)
        single[goals.WORKER] = max(pss_kib(pid) for pid in running.workers("pages"))
        single[goals.BARE_WORKER] = max(pss_kib(pid) for pid in running.workers("floor"))
        if _is_wanted("streams", only):
            say("Streams …")
            (measured,) = streams.measure(running, scene, streams.readers(STREAMS), [STREAMS])
            single |= measured.as_single()
        results = goals.Results(figures, single)
        verdicts = goals.judge(goals.GOALS, results)
        say("\n".join(["", table.of_figures(figures), "", table.of_single(single), "", table.of_verdicts(verdicts)]))
        for line in remains(verdicts, results, {contestant.name: contestant.request for contestant in ours}):
            say(line)
        say(f"\nWritten to {_write(results, verdicts, running.home.folder)}")
        return not goals.unmet(verdicts)


def _is_wanted(name: str, only: Sequence[str]) -> bool:
    return not only or any(part in name for part in only)


def _start_peer(peer: Target, at_end: ExitStack) -> str:
    say(f"{peer.name}: installing, filling …")
    peer.install()
    peer.fill(PEER_MESSAGES)
    at_end.callback(peer.stop)
    return peer.start()


def _write(results: goals.Results, verdicts: Sequence[goals.Verdict], folder: Path) -> Path:
    now = datetime.now(tz=UTC)
    path = folder / f"results-{now:%Y-%m-%d-%H%M%S}.json"
    content = {
        "at": now.isoformat(),
        "processors": os.cpu_count(),
        "figures": as_json(results.figures),
        "single": results.single,
        "goals": [
            {
                "id": verdict.goal.id,
                "what": verdict.goal.what,
                "bound": verdict.goal.bound,
                "at_most": verdict.goal.at_most,
                "value": verdict.value,
                "verdict": verdict.in_words,
            }
            for verdict in verdicts
        ],
    }
    path.write_text(json.dumps(content, indent=1))
    return path
