from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MessengerConfig(AppConfig):
    name = "messenger"
    verbose_name = _("Messenger")

    def ready(self) -> None:
        from messenger.notifications.delivery import cancellation  # noqa: F401  (connects its receivers)
