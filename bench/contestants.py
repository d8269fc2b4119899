"""The contestants that take turns: the floors, the product's own requests, and the peers."""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence

from bench import goals, peers
from bench.bodies import RARE
from bench.floors import TOPICS
from bench.load import LUA
from bench.rotation import Contestant
from bench.scene import Scene, statements
from bench.stack import Stack
from bench.targets import Request, Target


def insert_and_update() -> Request:
    topics = ",".join(str(number) for number in range(1, TOPICS + 1))
    return Request(
        method="POST",
        path="/write/",
        headers={"X-Topics": topics, "Content-Type": "application/x-www-form-urlencoded"},
        body=f"topic=@TOPIC@&body={'x' * 120}",
        lua=LUA / "posts.lua",
    )


def floors(running: Stack) -> list[Contestant]:
    def contestant(name: str, request: Request) -> Contestant:
        return Contestant(
            name,
            running.url("floor"),
            request,
            web=lambda: running.pids("floor"),
            database=lambda: running.pids("postgres"),
        )

    return [contestant(goals.FLOOR_PAGE, Request()), contestant(goals.FLOOR_WRITE, insert_and_update())]


def ours(running: Stack, scene: Scene) -> list[Contestant]:
    def contestant(name: str, floor: str, request: Request) -> Contestant:
        return Contestant(
            name,
            running.url("pages"),
            request,
            floor,
            web=lambda: running.pids("pages"),
            database=lambda: running.pids("postgres"),
            statements=len(statements(request)),
        )

    pages, posts = goals.FLOOR_PAGE, goals.FLOOR_WRITE
    shortest, longest = min(scene.threads), max(scene.threads)
    reading = [
        contestant(goals.THREAD, pages, scene.thread(shortest)),
        contestant(goals.THREAD_FEW, pages, scene.thread(shortest, reader=scene.reader_of_fewest)),
        contestant(goals.TOPICS, pages, scene.topics(scene.reader_of_most)),
        contestant(goals.TOPICS_FEW, pages, scene.topics(scene.reader_of_fewest)),
    ]
    for where, query in (("last", "?latest"), ("middle", "?at={middle}"), ("first", "?at=1")):
        for length in (shortest, longest):
            request = scene.thread(length, query.format(middle=length // 2))
            reading.append(contestant(goals.page(where, length), pages, request))
    for name, words in ((goals.SEARCH_FEW, f"{RARE}13"), (goals.SEARCH_MANY, "bank file")):
        search = scene.search(words)
        if search:
            reading.append(contestant(name, pages, search))
    crowds = [scene.crowds[size] for size in (min(scene.crowds), max(scene.crowds))]
    return [
        *reading,
        contestant(goals.POST, posts, scene.post(scene.posted)),
        contestant(goals.POST_5, posts, scene.post(crowds[:1], scene.crowd_member)),
        contestant(goals.POST_5000, posts, scene.post(crowds[1:], scene.crowd_member)),
        contestant(goals.POST_SHORT, posts, scene.post(scene.posted[:1])),
        contestant(goals.POST_LONG, posts, scene.post([scene.threads[longest]])),
    ]


def find_peers() -> Iterator[Target]:
    """Every peer in the package `bench.peers`."""
    for module in pkgutil.iter_modules(peers.__path__, f"{peers.__name__}."):
        loaded = importlib.import_module(module.name)
        if hasattr(loaded, "target"):  # the other modules are helpers
            yield loaded.target()


def of_peers(started: Sequence[tuple[Target, str]]) -> list[Contestant]:
    """The requests of the peers that were started; each comes with its base URL."""
    contestants = []
    for target, url in started:
        requests = [
            (goals.THREAD, target.thread_page()),
            ("topic list", target.topic_list()),
            (goals.POST, target.post()),
        ]
        for what, request in requests:
            if request is not None:
                floor = goals.FLOOR_WRITE if what == goals.POST else goals.FLOOR_PAGE
                contestants.append(Contestant(goals.peer(target.name, what), url, request, floor, web=target.pids))
    return contestants
