"""Routes below `/<tenancy>/administration/user-groups/messenger-users/`."""

from typing import TYPE_CHECKING

from django.urls import path

from common.lazy_views import ViewsOf

if TYPE_CHECKING:
    from messenger.groups import views as groups
else:
    groups = ViewsOf("messenger.groups.views")

app_name = "messenger_users"

urlpatterns = [
    path("", groups.groups, name="groups"),
    path("new/", groups.create, name="group_new"),
    path("<id:pk>/", groups.group, name="group"),
    path("<id:pk>/users/", groups.users, name="users"),
    path("<id:pk>/edit/", groups.edit, name="group_edit"),
]
