"""Below `/<tenancy>/administration/user-groups/messenger-users/`."""

from django.urls import path

from messenger.views import groups

app_name = "messenger_users"

urlpatterns = [
    path("", groups.groups, name="groups"),
    path("new/", groups.create, name="group_new"),
    path("<id:pk>/", groups.group, name="group"),
    path("<id:pk>/users/", groups.users, name="users"),
    path("<id:pk>/edit/", groups.edit, name="group_edit"),
]
