"""Who takes turns: the floors, ours, the peers."""

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
    def one(name: str, request: Request) -> Contestant:
        return Contestant(
            name,
            running.url("floor"),
            request,
            web=lambda: running.pids("floor"),
            database=lambda: running.pids("postgres"),
        )

    return [one(goals.FLOOR_PAGE, Request()), one(goals.FLOOR_WRITE, insert_and_update())]


def ours(running: Stack, scene: Scene) -> list[Contestant]:
    def one(name: str, floor: str, request: Request) -> Contestant:
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
    found = [
        one(goals.THREAD, pages, scene.thread(shortest)),
        one(goals.THREAD_FEW, pages, scene.thread(shortest, reader=scene.somewhere)),
        one(goals.TOPICS, pages, scene.topics(scene.everywhere)),
        one(goals.TOPICS_FEW, pages, scene.topics(scene.somewhere)),
    ]
    for where, query in (("last", "?latest"), ("middle", "?at={middle}"), ("first", "?at=1")):
        for length in (shortest, longest):
            request = scene.thread(length, query.format(middle=length // 2))
            found.append(one(goals.page(where, length), pages, request))
    for name, words in ((goals.SEARCH_FEW, f"{RARE}13"), (goals.SEARCH_MANY, "bank file")):
        search = scene.search(words)
        if search:
            found.append(one(name, pages, search))
    crowds = [scene.crowds[size] for size in (min(scene.crowds), max(scene.crowds))]
    return [
        *found,
        one(goals.POST, posts, scene.post(scene.posted)),
        one(goals.POST_5, posts, scene.post(crowds[:1], scene.crowd_member)),
        one(goals.POST_5000, posts, scene.post(crowds[1:], scene.crowd_member)),
        one(goals.POST_SHORT, posts, scene.post(scene.posted[:1])),
        one(goals.POST_LONG, posts, scene.post([scene.threads[longest]])),
    ]


def found_peers() -> Iterator[Target]:
    for module in pkgutil.iter_modules(peers.__path__, f"{peers.__name__}."):
        loaded = importlib.import_module(module.name)
        if hasattr(loaded, "target"):  # others help those
            yield loaded.target()


def of_peers(started: Sequence[tuple[Target, str]]) -> list[Contestant]:
    found = []
    for target, url in started:
        requests = [
            (goals.THREAD, target.thread_page()),
            ("topic list", target.topic_list()),
            (goals.POST, target.post()),
        ]
        for what, request in requests:
            if request is not None:
                floor = goals.FLOOR_WRITE if what == goals.POST else goals.FLOOR_PAGE
                found.append(Contestant(goals.peer(target.name, what), url, request, floor, web=target.pids))
    return found
