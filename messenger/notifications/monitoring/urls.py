"""URLs under `/<tenancy>/administration/system/e-mails/`."""

from typing import TYPE_CHECKING

from django.urls import path

from common.lazy_views import ViewsOf

if TYPE_CHECKING:
    from messenger.notifications.monitoring import views as monitoring
else:
    monitoring = ViewsOf("messenger.notifications.monitoring.views")

app_name = "messenger_health"

urlpatterns = [
    path("", monitoring.overview, name="overview"),
    path("test/", monitoring.send_test, name="send_test"),
]
