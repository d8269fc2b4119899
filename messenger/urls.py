"""Below `/<tenancy>/messenger/`. The stream at `stream/` is served before Django (ippex_messenger/asgi.py)."""

from typing import TYPE_CHECKING

from django.urls import path

from common.lazy_views import ViewsOf
from messenger.threads import composing_views, reading_views
from messenger.threads import views as threads
from messenger.topics import views as topics

if TYPE_CHECKING:
    from messenger.messages import record_views
    from messenger.messages import views as messages
    from messenger.notifications.preferences import views as preferences
    from messenger.search import views as search
else:
    messages = ViewsOf("messenger.messages.views")
    preferences = ViewsOf("messenger.notifications.preferences.views")
    record_views = ViewsOf("messenger.messages.record_views")
    search = ViewsOf("messenger.search.views")

app_name = "messenger"

urlpatterns = [
    path("", topics.topics, name="topics"),
    path("topics/new/", topics.create, name="topic_new"),
    path("topics/<id:pk>/", threads.thread, name="thread"),
    path("topics/<id:pk>/edit/", topics.edit, name="topic_edit"),
    path("topics/<id:pk>/edit/replay/", topics.replay, name="topic_replay"),
    path("topics/<id:pk>/messages/", threads.messages, name="messages"),
    path("topics/<id:pk>/messages/<id:sequence>/", messages.message, name="message"),
    path("topics/<id:pk>/messages/<id:sequence>/edit/", messages.edit, name="message_edit"),
    path("topics/<id:pk>/messages/<id:sequence>/history/", messages.history, name="message_history"),
    path("topics/<id:pk>/messages/<id:sequence>/remove/", messages.remove, name="message_remove"),
    path("topics/<id:pk>/messages/<id:sequence>/record/", record_views.record, name="record"),
    path("topics/<id:pk>/messages/<id:sequence>/quotation/", composing_views.quotation, name="quotation"),
    path("topics/<id:pk>/preview/", threads.preview, name="preview"),
    path("topics/<id:pk>/people/", composing_views.people, name="people"),
    path("topics/<id:pk>/read/", reading_views.read, name="read"),
    path("topics/<id:pk>/unread/", reading_views.unread, name="unread"),
    path("read/", reading_views.read_all, name="read_all"),
    path("topics/<id:pk>/mute/", preferences.mute, name="mute"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("search/", search.search, name="search"),
]
