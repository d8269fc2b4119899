"""The content of mails as an SMTP server received them, and their unsubscribe links."""

import re
from datetime import timedelta
from email.message import EmailMessage
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.test import Client
from django.utils import timezone

from messenger.models import MailPreference, MessengerGroup, Topic, TopicMute
from messenger.notifications.delivery.unsubscribe_links import unsubscribe_link
from messenger.notifications.preferences.services import preference_of, save_preference
from messenger.tasks import notify_members
from messenger.topics.mail_preview import preview
from tenancy.models import MailDetail, Member, Tenancy
from tests.support.cast import Cast, make_topic, post, sign_in
from tests.support.smtp import SmtpServer

pytestmark = pytest.mark.django_db

CANARIES = ("Canarygroup", "Canarytopic", "Canarytext", "Canaryauthor", "Canaryreader", "Canarydescription")
ALLOWED = {
    MailDetail.MINIMAL: set[str](),
    MailDetail.TOPIC_AND_SENDER: {"Canarytopic", "Canaryauthor"},
    MailDetail.FULL_TEXT: {"Canarytopic", "Canaryauthor", "Canarytext"},
}


@pytest.fixture
def canaries(cast: Cast) -> None:
    MessengerGroup.objects.filter(pk=cast.payroll.pk).update(name="Canarygroup", description="Canarydescription")
    Topic.objects.filter(pk=cast.payments.pk).update(name="Canarytopic")
    Member.objects.filter(pk=cast.alice.pk).update(name="Canaryauthor")
    Member.objects.filter(pk=cast.bob.pk).update(name="Canaryreader")


def set_detail(cast: Cast, detail: MailDetail) -> None:
    Tenancy.objects.filter(pk=cast.northwind.pk).update(mail_detail=detail)


def mail_about(topic: Topic, author: Member, smtp: SmtpServer, body: str = "Canarytext") -> EmailMessage:
    Topic.objects.filter(pk=topic.pk).update(notification_interval=0)
    notify_members(post(topic, author, body).pk)
    return smtp.mails[-1]


def parts_of(mail: EmailMessage) -> dict[str, str]:
    """The headers, the text and the HTML of a mail, each decoded."""
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    headers = "\n".join(f"{name}: {value}" for part in mail.walk() for name, value in part.items())
    return {"headers": headers, "text": text.get_content(), "html": html.get_content()}


def found_in(text: str) -> set[str]:
    return {canary for canary in CANARIES if canary.lower() in text.lower()}


@pytest.mark.parametrize("detail", MailDetail)
def test_a_mail_contains_only_what_its_level_of_detail_allows(
    cast: Cast, canaries: None, smtp: SmtpServer, detail: MailDetail
) -> None:
    set_detail(cast, detail)
    parts = parts_of(mail_about(cast.payments, cast.alice, smtp))
    assert found_in(parts["text"]) == found_in(parts["html"]) == ALLOWED[detail]
    assert found_in(parts["headers"]) == ALLOWED[detail] & {"Canarytopic"}, "the subject names the topic at most"
    assert cast.alice.user.email not in "".join(parts.values())
    link = f"http://messenger.test/northwind/messenger/topics/{cast.payments.pk}/"
    assert link in parts["text"]
    assert f'href="{link}"' in parts["html"]


def test_a_stricter_level_of_detail_applies_to_pending_mails(cast: Cast, canaries: None, smtp: SmtpServer) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    message = post(cast.payments, cast.alice, "Canarytext")
    set_detail(cast, MailDetail.MINIMAL)
    notify_members(message.pk)
    assert found_in("".join(parts_of(smtp.mails[-1]).values())) == set()


def test_the_full_text_is_sent_as_markdown_and_as_html(cast: Cast, smtp: SmtpServer) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    parts = parts_of(mail_about(cast.payments, cast.alice, smtp, "**Net** & gross <script>alert(1)</script>"))
    assert "**Net** & gross <script>alert(1)</script>" in parts["text"]
    assert "<strong>Net</strong> &amp; gross" in parts["html"]
    assert "<script" not in parts["html"]


@pytest.mark.parametrize("detail", MailDetail)
def test_no_name_adds_a_header(cast: Cast, smtp: SmtpServer, detail: MailDetail) -> None:
    """Not even a name that no form has validated."""
    set_detail(cast, detail)
    Topic.objects.filter(pk=cast.payments.pk).update(name="Hello\r\nBcc: mallory@x.example\r\n\r\nBody")
    Member.objects.filter(pk=cast.alice.pk).update(name="Alice\nX-Evil: 1")
    mail = mail_about(cast.payments, cast.alice, smtp)
    assert mail["Bcc"] is None
    assert mail["X-Evil"] is None
    assert smtp.recipients == [cast.bob.user.email]


def test_the_mails_of_a_topic_are_one_conversation(cast: Cast, smtp: SmtpServer) -> None:
    set_detail(cast, MailDetail.TOPIC_AND_SENDER)
    first, second = (mail_about(cast.payments, cast.alice, smtp) for _ in range(2))
    other = mail_about(make_topic(cast.payroll, "Pensions"), cast.alice, smtp)
    for header in ("Subject", "References", "In-Reply-To", "List-Id"):
        assert first[header] == second[header]
        assert first[header] != other[header], header
    assert first["References"] == f"<topic-{cast.payments.pk}@messenger.messenger.test>"
    assert first["List-Id"] == f"<topic-{cast.payments.pk}.messenger.messenger.test>"
    assert len({mail["Message-ID"] for mail in (first, second, other)}) == 3


def test_the_preview_follows_the_level_of_detail(cast: Cast, canaries: None) -> None:
    set_detail(cast, MailDetail.TOPIC_AND_SENDER)
    mail = preview(Topic.objects.get(pk=cast.payments.pk), Member.objects.select_related("tenancy").get(pk=cast.bob.pk))
    assert found_in(f"{mail.subject} {mail.body}") == {"Canarytopic", "Canaryreader"}, (
        "Bob is the author in the preview"
    )


# -- Settings ------------------------------------------------------------------------------------------

SETTINGS = "/northwind/administration/system/settings/notifications/"


def test_the_administrator_sets_the_level_of_detail_for_the_tenancy(cast: Cast) -> None:
    dana = sign_in(cast.dana)
    assert cast.northwind.mail_detail == MailDetail.MINIMAL, "the default"
    assert 'value="minimal"' in dana.get(SETTINGS).content.decode()
    assert dana.post(SETTINGS, {"mail_detail": "full_text"}).status_code == 302
    cast.northwind.refresh_from_db()
    cast.aurora.refresh_from_db()
    assert cast.northwind.mail_detail == MailDetail.FULL_TEXT
    assert cast.aurora.mail_detail == MailDetail.MINIMAL, "the other client's level is unchanged"


def test_an_unknown_level_of_detail_is_refused(cast: Cast) -> None:
    assert sign_in(cast.dana).post(SETTINGS, {"mail_detail": "everything"}).status_code == 422
    cast.northwind.refresh_from_db()
    assert cast.northwind.mail_detail == MailDetail.MINIMAL


# -- Unsubscribe links ---------------------------------------------------------------------------------


def unsubscribe_path(mail: EmailMessage) -> str:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    match = re.fullmatch(r"<(http://messenger\.test/unsubscribe/[^>]+)>", mail["List-Unsubscribe"].strip())
    assert match, mail["List-Unsubscribe"]
    return urlsplit(match[1]).path


def one_click(path: str) -> Any:
    """Send the request of a mail program: without cookies, CSRF token or confirmation."""
    client = Client(enforce_csrf_checks=True)
    return client.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")


def undo_in(page: Any) -> str:
    match = re.search(r'name="again" value="([^"]+)"', page.content.decode())
    assert match, "there is an Undo button"
    return match[1]


def test_the_unsubscribe_button_of_a_mail_program_mutes_the_topic(cast: Cast, smtp: SmtpServer, settings: Any) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    assert one_click(path).status_code == 200
    assert list(TopicMute.objects.values_list("member", "topic")) == [(cast.bob.pk, cast.payments.pk)]
    mails = len(smtp.mails)
    notify_members(post(cast.payments, cast.alice).pk)
    assert len(smtp.mails) == mails, "no more for Bob"
    mail_about(make_topic(cast.payroll, "Pensions"), cast.alice, smtp)
    assert len(smtp.mails) == mails + 1, "Bob still gets mails about other topics"
    assert one_click(path).status_code == 200, "again is harmless"


def test_opening_the_link_changes_nothing(cast: Cast, smtp: SmtpServer) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    for method in ("get", "head", "options"):
        getattr(Client(), method)(path)
    assert not TopicMute.objects.exists()
    page = Client().get(path).content.decode()
    assert '<form method="post"' in page


def test_the_page_behind_the_link_names_no_person_topic_or_tenancy(
    cast: Cast, canaries: None, smtp: SmtpServer
) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    stopped = Client().post(path)
    for page in (Client().get(path), stopped, Client().post(path, {"again": undo_in(stopped)})):
        text = page.content.decode()
        assert found_in(text) == set()
        assert cast.bob.user.email not in text
        assert "northwind" not in text.lower()


def test_unsubscribing_can_be_undone_on_the_same_page(cast: Cast, smtp: SmtpServer) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    undo = undo_in(Client().post(path))
    Client().post(path, {"again": undo})
    assert not TopicMute.objects.exists()


def test_only_a_fresh_undo_of_the_same_link_resumes_mails(cast: Cast, smtp: SmtpServer) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    other = unsubscribe_path(mail_about(make_topic(cast.payroll, "Pensions"), cast.alice, smtp))
    undo = undo_in(Client().post(path))
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        Client().post(path, {"again": undo})
    Client().post(path, {"again": "1"})
    Client().post(path, {"again": undo_in(Client().post(other))})
    assert TopicMute.objects.count() == 2


def test_the_link_works_for_its_member_even_if_another_user_is_signed_in(cast: Cast, smtp: SmtpServer) -> None:
    path = unsubscribe_path(mail_about(cast.payments, cast.alice, smtp))
    assert sign_in(cast.erin).post(path).status_code == 200
    assert TopicMute.objects.get().member == cast.bob


def test_a_forged_link_is_a_404(cast: Cast) -> None:
    path = urlsplit(unsubscribe_link(cast.bob, cast.payments)).path
    forged = path[:-2] + ("A" if path[-2] != "A" else "B") + "/"
    foreign = urlsplit(unsubscribe_link(cast.bob, cast.secrets)).path
    for wrong in (forged, "/unsubscribe/x/", foreign):
        assert Client().get(wrong).status_code == 404
        assert Client().post(wrong).status_code == 404
    assert not TopicMute.objects.exists()


def test_the_link_in_a_catch_up_mail_ends_catch_up_mails(cast: Cast) -> None:
    preference = preference_of(cast.bob)
    preference.catch_up = MailPreference.CatchUp.WEEKDAYS
    save_preference(preference)
    path = urlsplit(unsubscribe_link(cast.bob, None)).path
    Client().get(path)
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.WEEKDAYS, "opening the link changes nothing"
    assert one_click(path).status_code == 200
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.NEVER
    assert preference_of(cast.bob).next_catch_up_at is None


def test_undoing_restores_the_days_of_the_catch_up_mails(cast: Cast) -> None:
    preference = preference_of(cast.bob)
    preference.catch_up = MailPreference.CatchUp.WEEKDAYS
    save_preference(preference)
    path = urlsplit(unsubscribe_link(cast.bob, None)).path
    page = one_click(path).content.decode()
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.NEVER, "or the test proves nothing"
    undo = re.search(r'name="again" value="([^"]+)"', page)
    assert undo
    assert "They continue as before." in Client().post(path, {"again": undo[1]}).content.decode()
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.WEEKDAYS
