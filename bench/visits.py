"""Requests that go round many tenancies: each page is another client's."""

from pathlib import Path

from bench.load import LUA
from bench.scene import sign_in
from bench.targets import Request
from messenger.models import Topic
from tenancy.models import Member

PREFIX = "client-"


def visits(tenancies: int, folder: Path) -> Request:
    """The thread of each of so many tenancies in turn, read by its first member."""
    people = Member.objects.filter(tenancy__slug__startswith=PREFIX, user__email__startswith="one@").order_by("pk")
    readers = sign_in(people[:tenancies])
    topics = dict(Topic.objects.filter(tenancy__slug__startswith=PREFIX).values_list("tenancy", "pk"))
    pages = [
        (f"/{one.member.tenancy.slug}/messenger/topics/{topics[one.member.tenancy_id]}/", one.headers["Cookie"])
        for one in readers
    ]
    script = folder / f"visits-{tenancies}.lua"
    entries = ",\n".join(f'{{"{path}", "{cookie}"}}' for path, cookie in pages)
    script.write_text(f"visits = {{{entries}}}\ndofile('{LUA / 'visits.lua'}')\n")
    path, cookie = pages[0]
    return Request(path=path, headers={"Cookie": cookie}, lua=script)
