from typing import TYPE_CHECKING

from django.urls import include, path, re_path

from common.lazy_views import ViewsOf
from tenancy.views import home

if TYPE_CHECKING:
    from tenancy.views import invitations, settings, users
else:
    invitations = ViewsOf("tenancy.views.invitations")
    settings = ViewsOf("tenancy.views.settings")
    users = ViewsOf("tenancy.views.users")

tenancy_patterns = [
    path("", home.menu, name="menu"),
    path("administration/", home.administration, name="administration"),
    path("administration/system/settings/", settings.settings, name="settings"),
    path("administration/system/settings/features/", settings.features, name="features"),
    path("administration/system/settings/notifications/", settings.notifications, name="notifications"),
    path("administration/system/settings/messages/", settings.messages_tab, name="messages"),
    path("administration/users/", users.users, name="users"),
    path("administration/users/new/", users.invite, name="invite"),
    path("administration/users/<id:pk>/", users.user, name="user"),
    path("administration/users/invitations/<id:pk>/", invitations.invitation, name="invitation"),
    path("administration/users/invitations/<id:pk>/send-again/", invitations.send_again, name="send_again"),
    path("administration/users/invitations/<id:pk>/withdraw/", invitations.withdraw, name="withdraw"),
]

urlpatterns = [
    path("", home.choose, name="home"),
    re_path(r"^invitations/(?P<key>[-:\w]+)/$", invitations.accept_invitation, name="invitation"),
    path("<tenancy:tenancy_slug>/", include((tenancy_patterns, "tenancy"))),
]
