"""`run`: the table; `growth`: the curves; `profile`: where the time of a request goes; `fill`: the data only."""

import argparse
import sys
from collections.abc import Sequence

from bench.chart import PANELS
from bench.load import Unusable
from bench.rotation import ROUNDS, TURN_SECONDS
from bench.run import filled_stack, run, say
from bench.shape import FULL
from ippex_messenger.embedded.errors import StartupError

PROFILED = ("thread", "topics", "post", "search", "search_few")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    whole = commands.add_parser("run")
    whole.add_argument("--seconds", type=int, default=TURN_SECONDS, help="of a turn")
    whole.add_argument("--rounds", type=int, default=ROUNDS)
    whole.add_argument("--only", nargs="*", default=[], help="parts of names: thread, post, mails, streams")
    whole.add_argument("--peers", action="store_true")
    whole.add_argument("--strict", action="store_true", help="fail where a goal is not met")
    curves = commands.add_parser("growth")
    curves.add_argument("--seconds", type=int, default=1, help="of a turn")
    curves.add_argument("--rounds", type=int, default=ROUNDS)
    curves.add_argument("--only", nargs="*", default=[], choices=PANELS, help="the others stay as they were")
    profiled = commands.add_parser("profile")
    profiled.add_argument("what", nargs="*", default=PROFILED)
    profiled.add_argument("--plans", action="store_true", help="of the statements, instead")
    commands.add_parser("fill")
    arguments = parser.parse_args()
    try:
        sys.exit(_do(arguments))
    except (Unusable, StartupError) as problem:
        sys.exit(str(problem))


def _do(arguments: argparse.Namespace) -> int:
    if arguments.command == "run":
        all_met = run(
            seconds=arguments.seconds,
            rounds=arguments.rounds,
            only=arguments.only,
            with_peers=arguments.peers,
        )
        return int(arguments.strict and not all_met)
    if arguments.command == "growth":
        _grow(arguments.seconds, arguments.rounds, arguments.only)
    elif arguments.command == "profile":
        _profile(arguments.what, plans=arguments.plans)
    else:
        with filled_stack(FULL):
            pass
    return 0


def _grow(seconds: int, rounds: int, only: Sequence[str]) -> None:
    with filled_stack(FULL) as running:
        from bench.growth import grow
        from bench.scene import Scene

        scene = Scene(FULL)
        scene.undo_posts()
        grow(running, scene, seconds, rounds, only)


def _profile(what: list[str], *, plans: bool) -> None:
    with filled_stack(FULL):
        from bench.bodies import RARE
        from bench.profiles import explain, profile
        from bench.scene import Scene

        scene = Scene(FULL)
        scene.undo_posts()
        requests = {
            "thread": scene.thread(min(scene.threads)),
            "topics": scene.topics(scene.everywhere),
            "post": scene.post(scene.posted),
            "search": scene.search("bank file"),
            "search_few": scene.search(f"{RARE}13"),
        }
        for name in what:
            request = requests[name]
            if request:
                say((explain if plans else profile)(request))


if __name__ == "__main__":
    main()
