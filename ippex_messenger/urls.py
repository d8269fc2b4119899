from typing import TYPE_CHECKING

from django.urls import include, path, re_path, register_converter

from common.lazy_views import ViewsOf
from ippex_messenger import views
from ippex_messenger.converters import PositiveIntegerConverter, TenancySlugConverter

if TYPE_CHECKING:
    from messenger.notifications.preferences import unsubscribe_views
else:
    unsubscribe_views = ViewsOf("messenger.notifications.preferences.unsubscribe_views")

register_converter(PositiveIntegerConverter, "id")
register_converter(TenancySlugConverter, "tenancy")

handler400 = "ippex_messenger.views.bad_request"
handler403 = "ippex_messenger.views.permission_denied"
handler404 = "ippex_messenger.views.page_not_found"
handler500 = "ippex_messenger.views.server_error"

# The first segment of each of these paths is reserved: tenancy/validators.py refuses it as a tenancy's slug.
urlpatterns = [
    path("<tenancy:tenancy_slug>/messenger/", include("messenger.urls")),  # first: most requests match it
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("accounts/", include("accounts.urls")),
    re_path(r"^unsubscribe/(?P<key>[-:\w]+)/$", unsubscribe_views.unsubscribe, name="unsubscribe"),
    path("", include("tenancy.urls")),
    path("<tenancy:tenancy_slug>/administration/system/e-mails/", include("messenger.notifications.monitoring.urls")),
    path("<tenancy:tenancy_slug>/administration/user-groups/messenger-users/", include("messenger.groups.urls")),
]
