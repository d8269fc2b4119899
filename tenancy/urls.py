from django.urls import include, path, re_path

from tenancy.views import invitations, places, settings, users

tenancy_patterns = [
    path("", places.menu, name="menu"),
    path("administration/", places.administration, name="administration"),
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
    path("", places.choose, name="home"),
    re_path(r"^invitations/(?P<key>[-:\w]+)/$", invitations.accept_invitation, name="invitation"),
    path("<tenancy:tenancy_slug>/", include((tenancy_patterns, "tenancy"))),
]
