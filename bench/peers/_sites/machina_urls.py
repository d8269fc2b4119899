from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [  # the pages contain links to the first two
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("", include("machina.urls")),
]
