"""Requests that visit many tenancies in turn."""

from pathlib import Path

from bench.load import LUA
from bench.scene import sign_in
from bench.targets import Request
from messenger.models import Topic
from tenancy.models import Member

PREFIX = "client-"


def visits(tenancies: int, folder: Path) -> Request:
    """A request that reads a thread of each of this number of tenancies in turn, as the tenancy's first member.

    The script for wrk is written into `folder`.
    """
    people = Member.objects.filter(tenancy__slug__startswith=PREFIX, user__email__startswith="one@").order_by("pk")
    readers = sign_in(people[:tenancies])
    topics = dict(Topic.objects.filter(tenancy__slug__startswith=PREFIX).values_list("tenancy", "pk"))
    pages = []
    for reader in readers:
        tenancy = reader.member.tenancy
        pages.append((f"/{tenancy.slug}/messenger/topics/{topics[tenancy.pk]}/", reader.headers["Cookie"]))
    script = folder / f"visits-{tenancies}.lua"
    entries = ",\n".join(f'{{"{path}", "{cookie}"}}' for path, cookie in pages)
    script.write_text(f"visits = {{{entries}}}\ndofile('{LUA / 'visits.lua'}')\n")
    path, cookie = pages[0]
    return Request(path=path, headers={"Cookie": cookie}, lua=script)
