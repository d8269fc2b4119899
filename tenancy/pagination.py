"""Page numbers of lists. The tables of Administration are in tenancy/tables.py."""

from django.http import Http404, HttpRequest


def page_number(request: HttpRequest) -> int:
    """The `page` of the query string, 1 by default. Raises Http404 unless it is a number from 1 to 99,999."""
    page = request.GET.get("page", "1")
    if not (page.isascii() and page.isdigit() and len(page) < 6 and int(page) > 0):
        raise Http404
    return int(page)
