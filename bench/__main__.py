"""`run`: the table; `growth`: the curves; `profile`: where the time of a request goes; `fill`: only the data."""

import argparse
import sys
from collections.abc import Sequence

from bench.chart import PANELS
from bench.load import BenchError
from bench.rotation import ROUNDS, TURN_SECONDS
from bench.run import filled_stack, run, say
from bench.shape import FULL
from ippex_messenger.embedded.errors import StartupError

PROFILED = ("thread", "topics", "post", "search", "search_few")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("run")
    table.add_argument("--seconds", type=int, default=TURN_SECONDS, help="the length of a turn")
    table.add_argument("--rounds", type=int, default=ROUNDS)
    table.add_argument("--only", nargs="*", default=[], help="parts of names: thread, post, mails, streams")
    table.add_argument("--peers", action="store_true", help="measure Spirit, machina and Synapse too")
    table.add_argument("--strict", action="store_true", help="fail if a goal is not met")
    curves = commands.add_parser("growth")
    curves.add_argument("--seconds", type=int, default=1, help="the length of a turn")
    curves.add_argument("--rounds", type=int, default=ROUNDS)
    curves.add_argument("--only", nargs="*", default=[], choices=PANELS, help="measure these and reuse the others")
    profiled = commands.add_parser("profile")
    profiled.add_argument("what", nargs="*", default=PROFILED)
    profiled.add_argument("--plans", action="store_true", help="show the plans of the SQL statements instead")
    commands.add_parser("fill")
    arguments = parser.parse_args()
    try:
        sys.exit(_run_command(arguments))
    except (BenchError, StartupError) as error:
        sys.exit(str(error))


def _run_command(arguments: argparse.Namespace) -> int:
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
            "topics": scene.topics(scene.reader_of_most),
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
