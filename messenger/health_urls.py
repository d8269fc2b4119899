"""Below `/<tenancy>/administration/system/e-mails/`."""

from django.urls import path

from messenger.views import health

app_name = "messenger_health"

urlpatterns = [
    path("", health.overview, name="overview"),
    path("test/", health.send_test, name="send_test"),
]
