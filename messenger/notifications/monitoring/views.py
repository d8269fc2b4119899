"""Administration > System > E-mail delivery."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from messenger.notifications.monitoring.report import health_of
from messenger.notifications.monitoring.smtp_check import send_test_mail
from tenancy.http import MemberHttpRequest, administrators_only


@require_safe
@administrators_only
def overview(request: MemberHttpRequest) -> HttpResponse:
    health = health_of(request.member.tenancy, timezone.now())
    return render(request, "messenger/notifications/health.html", {"health": health, "today": timezone.localdate()})


@require_POST
@administrators_only
def send_test(request: MemberHttpRequest) -> HttpResponse:
    answer = send_test_mail(request.member)
    messages.add_message(request, messages.SUCCESS if answer.is_accepted else messages.ERROR, answer.sentence)
    return redirect("messenger_health:overview", request.member.tenancy.slug)
