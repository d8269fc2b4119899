from functools import cache
from typing import Any

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from messenger.models import MessengerGroup
from messenger.reading.annotations import unread_in_words
from messenger.reading.unread_count import count_unread_topics


def main_menu(request: HttpRequest) -> dict[str, Any]:
    """This app's entries in the main menu. The queries are lazy: only pages that show the menu make them."""
    member = getattr(request, "member", None)
    if member is None:
        return {}
    sees_messenger = getattr(request, "sees_messenger", None)
    in_messenger = request.path.startswith(f"/{member.tenancy.slug}/messenger/")
    unread = cache(lambda: count_unread_topics(member))
    return {
        # For the current entry: all of Messenger's pages share one, on others the path decides.
        "in_messenger": in_messenger,
        "menu_path": "" if in_messenger else request.path,
        "sees_messenger": sees_messenger
        if sees_messenger is not None
        else SimpleLazyObject(lambda: MessengerGroup.objects.visible_to(member).exists()),
        "unread_topics": SimpleLazyObject(unread),
        "has_unread_topics": SimpleLazyObject(unread),
        "unread_badge": SimpleLazyObject(lambda: unread_in_words(unread())),
        "sees_messenger_users": member.is_administrator or member.tenancy.messenger_enabled,
    }
