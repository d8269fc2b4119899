"""Any list, page by page. Those of Administration are in tenancy/tables.py, with what draws them."""

from django.http import Http404, HttpRequest


def page_number(request: HttpRequest) -> int:
    """The page that the query names, 1 without; 404 for what is no number that a list could have."""
    page = request.GET.get("page", "1")
    if not (page.isascii() and page.isdigit() and len(page) < 6 and int(page) > 0):
        raise Http404
    return int(page)
