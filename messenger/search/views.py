from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from common.caching.page_cache import PlaceholderValue
from messenger.search.engine import find
from messenger.search.forms import SearchForm
from messenger.search.hits import render_hits
from messenger.search.query import NothingToFindError
from messenger.search.scope import Cursor, SearchTimeoutError
from messenger.topics.listing import groups_of
from messenger.web.requests import MessengerHttpRequest
from messenger.web.responses import render_page

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DIGITS = 17  # of a cursor's microseconds, which reach to the year 5138, and of its id
INITIAL_VARIANT = {
    "has_hits": False,
    "has_next": False,
    "took_too_long": False,
    "has_no_word": False,
    "was_asked": False,
    "offers_new": False,
}


@require_safe
def search(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    groups = groups_of(member)
    if not groups:
        raise Http404  # members without an active group do not have Messenger
    request.sees_messenger = True
    older = _parse_cursor(request.GET["older"]) if "older" in request.GET else None
    form = SearchForm(request.GET, reader=member, groups=groups)
    variant: dict[str, Any] = {**INITIAL_VARIANT, "is_refused": not form.is_valid(), "is_later_page": older is not None}
    values: dict[str, PlaceholderValue] = {"hits": b"", "next_url": ""}
    if variant["is_refused"]:
        variant["offers_new"] = True
    elif form.cleaned_data["q"]:
        try:
            page = find(member, form.cleaned_data["q"], form.scope(older))
        except NothingToFindError:
            variant["has_no_word"] = True
        except SearchTimeoutError:
            variant["took_too_long"] = True
        else:
            variant |= {
                "has_hits": bool(page.hits),
                "has_next": page.next is not None,
                "was_asked": True,
                "offers_new": True,
            }
            values |= {
                "hits": render_hits(page.hits, member.tenancy.slug),
                "next_url": _query_for_older(page.next, request) if page.next else "",
            }
    values |= {"errors": form.summary, "words": form.words, "narrowing": form.narrowing}
    return render_page(
        request, "messenger/search/search.html", variant, values, status=422 if variant["is_refused"] else 200
    )


def _query_for_older(cursor: Cursor, request: MessengerHttpRequest) -> str:
    query = request.GET.copy()
    query["older"] = f"{(cursor.posted_at - EPOCH) // timedelta(microseconds=1)}-{cursor.pk}"
    return "?" + query.urlencode()


def _parse_cursor(text: str) -> Cursor:
    moment, _, pk = text.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in (moment, pk)):
        raise Http404
    return Cursor(EPOCH + timedelta(microseconds=int(moment)), int(pk))
