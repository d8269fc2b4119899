"""Below `/<tenancy>/messenger/`. The stream at `stream/` is served before Django (ippex_messenger/asgi.py)."""

from typing import TYPE_CHECKING

from django.urls import path

from common.lazy_views import ViewsOf
from messenger.views import composing, reading, threads, topics

if TYPE_CHECKING:
    from messenger.notifications.preferences import views as preferences
    from messenger.views import messages, records, search
else:
    messages = ViewsOf("messenger.views.messages")
    preferences = ViewsOf("messenger.notifications.preferences.views")
    records = ViewsOf("messenger.views.records")
    search = ViewsOf("messenger.views.search")

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
    path("topics/<id:pk>/messages/<id:sequence>/record/", records.record, name="record"),
    path("topics/<id:pk>/messages/<id:sequence>/quotation/", composing.quotation, name="quotation"),
    path("topics/<id:pk>/preview/", threads.preview, name="preview"),
    path("topics/<id:pk>/people/", composing.people, name="people"),
    path("topics/<id:pk>/read/", reading.read, name="read"),
    path("topics/<id:pk>/unread/", reading.unread, name="unread"),
    path("read/", reading.read_all, name="read_all"),
    path("topics/<id:pk>/mute/", preferences.mute, name="mute"),
    path("preferences/", preferences.preferences, name="preferences"),
    path("search/", search.search, name="search"),
]
