from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from messenger.forms.preferences import MailChoiceForm
from messenger.http import MessengerHttpRequest
from messenger.models import MailChoice, MessengerGroup


@require_http_methods(["GET", "HEAD", "POST"])
def preferences(request: MessengerHttpRequest) -> HttpResponse:
    if not MessengerGroup.objects.visible_to(request.member).exists():
        raise Http404
    request.sees_messenger = True
    choice = MailChoice.objects.filter(member=request.member).first() or MailChoice(member=request.member)
    form = MailChoiceForm(request.POST if request.method == "POST" else None, instance=choice)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your preferences have been saved."))
        return redirect("messenger:preferences", request.member.tenancy.slug)
    return render(request, "messenger/preferences.html", {"form": form})
