"""Below `/<tenancy>/administration/system/e-mails/`."""

from typing import TYPE_CHECKING

from django.urls import path

from common.lazy_views import ViewsOf

if TYPE_CHECKING:
    from messenger.views import health
else:
    health = ViewsOf("messenger.views.health")

app_name = "messenger_health"

urlpatterns = [
    path("", health.overview, name="overview"),
    path("test/", health.send_test, name="send_test"),
]
