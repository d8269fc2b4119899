from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from messenger.forms.search import SearchForm
from messenger.hits import render_hits
from messenger.http import MessengerHttpRequest
from messenger.search import Cursor, NothingToFindError, SearchTimeoutError, find
from messenger.topic_list import groups_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DIGITS = 17  # of microseconds until the year 5138, and of an id


@require_safe
def search(request: MessengerHttpRequest) -> HttpResponse:
    member = request.member
    groups = groups_of(member)
    if not groups:
        raise Http404  # for them there is no Messenger
    request.sees_messenger = True
    older = _cursor(request.GET["older"]) if "older" in request.GET else None
    form = SearchForm(request.GET, reader=member, groups=groups)
    context: dict[str, Any] = {"form": form, "is_later_page": older is not None}
    if not form.is_valid():
        context["offers_new"] = True
        return render(request, "messenger/search.html", context, status=422)
    if form.cleaned_data["q"]:
        try:
            page = find(member, form.cleaned_data["q"], form.scope(older))
        except NothingToFindError:
            context["has_no_word"] = True
        except SearchTimeoutError:
            context["took_too_long"] = True
        else:
            context |= {
                "hits": page.hits,
                "hits_html": render_hits(page.hits, member.tenancy.slug),
                "next": page.next and _as_text(page.next),
                "was_asked": True,
                "offers_new": True,
            }
    return render(request, "messenger/search.html", context)


def _cursor(text: str) -> Cursor:
    moment, _, pk = text.partition("-")
    if not all(part.isascii() and part.isdigit() and len(part) <= MAX_DIGITS for part in (moment, pk)):
        raise Http404
    return Cursor(EPOCH + timedelta(microseconds=int(moment)), int(pk))


def _as_text(cursor: Cursor) -> str:
    return f"{(cursor.posted_at - EPOCH) // timedelta(microseconds=1)}-{cursor.pk}"
