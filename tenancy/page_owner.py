"""A page belongs to the member it was made for (docs/decisions/0037-a-page-belongs-to-its-member.md).

Its requests name that member by id. While somebody else is signed in they are refused: nothing is written, and the
texts that came with them are given back.
"""

from collections.abc import Collection
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from common.fragments import wants_fragment
from tenancy.models import Member

FIELD = "made_for"  # of a form (templates/_tokens.html), and of the stream's query

ONE_LINE = 60  # characters
# Whatever people write in a form below a tenancy; nothing else that was submitted is shown again.
TEXT_FIELDS = {
    "body": gettext_lazy("Message"),
    "name": gettext_lazy("Name"),
    "email": gettext_lazy("E-mail address"),
    "description": gettext_lazy("Description"),
    "addresses": gettext_lazy("E-mail addresses"),
    "reason": gettext_lazy("Reason"),
}


@dataclass(frozen=True)
class GivenBack:
    """A text for templates/_given_back.html."""

    label: str
    text: str

    @property
    def rows(self) -> int:
        return 6 if "\n" in self.text or len(self.text) > ONE_LINE else 1


def owners_named(request: HttpRequest) -> list[str]:
    """Whom the request says its page was made for, as sent; empty if it doesn't say."""
    return [*owners_in_header(request), *request.GET.getlist(FIELD), *_posted(request, FIELD)]


def owners_in_header(request: HttpRequest) -> list[str]:
    header = request.META.get("HTTP_X_MADE_FOR")  # as static/js/requests.js sends it
    return [] if header is None else [header]


def is_made_for_another(owners: Collection[str], user: User, member: Member | None) -> bool:
    """Whether a page is somebody else's. `member`: the signed-in user's active membership in the tenancy, if any.

    Without one, a page that was the user's own is not another's: its member has lost access.
    """
    if not owners:
        return False
    if member is not None:
        return set(owners) != {str(member.pk)}
    own = {str(pk) for pk in Member.objects.filter(user=user).values_list("pk", flat=True)}
    return not own.issuperset(owners)


def refuse(request: HttpRequest, signed_in_as: str) -> HttpResponse:
    """409: a sentence for scripts; for a form sent without JavaScript a page with what was typed."""
    if wants_fragment(request):
        sentence = _(
            "You are now signed in as %(name)s. This page was opened by someone else, so nothing was sent or saved."
        )
        return HttpResponse(sentence % {"name": signed_in_as}, status=409, content_type="text/plain; charset=utf-8")
    context = {
        "signed_in_as": signed_in_as,
        "given_back": texts_of(request),
        "frame": "frame.html" if hasattr(request, "member") else "entrance.html",
    }
    return render(request, "409.html", context, status=409)


def texts_of(request: HttpRequest) -> list[GivenBack]:
    """What was written in the submitted form."""
    return [
        GivenBack(str(label), text)
        for name, label in TEXT_FIELDS.items()
        for text in _posted(request, name)
        if text.strip()
    ]


def _posted(request: HttpRequest, name: str) -> list[str]:
    try:
        return request.POST.getlist(name)
    except UnreadablePostError:  # the browser is gone
        return []
