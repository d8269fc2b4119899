"""The allauth pages in use: signing in and out, passwords. There is no sign-up."""

from typing import TYPE_CHECKING

from django.urls import path, re_path

from common.lazy_views import ViewsOf

if TYPE_CHECKING:
    from allauth.account import views as allauth_views

    from accounts import views
else:
    allauth_views = ViewsOf("allauth.account.views")
    views = ViewsOf("accounts.views")

urlpatterns = [
    path("login/", allauth_views.login, name="account_login"),
    path("logout/", allauth_views.logout, name="account_logout"),
    path("inactive/", allauth_views.account_inactive, name="account_inactive"),
    path("password/change/", allauth_views.password_change, name="account_change_password"),
    path("password/reset/", allauth_views.password_reset, name="account_reset_password"),
    path("password/reset/done/", allauth_views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        allauth_views.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        allauth_views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
    path("profile/", views.profile, name="profile"),
]
