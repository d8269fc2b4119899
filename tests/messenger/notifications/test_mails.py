"""What the mails hold, as an SMTP server received them; and the links in them that end them."""

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
MAY_HOLD = {
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
    """What can be read of a mail: its headers, its text and its HTML, each decoded."""
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    headers = "\n".join(f"{name}: {value}" for part in mail.walk() for name, value in part.items())
    return {"headers": headers, "text": text.get_content(), "html": html.get_content()}


def found_in(text: str) -> set[str]:
    return {canary for canary in CANARIES if canary.lower() in text.lower()}


@pytest.mark.parametrize("detail", MailDetail)
def test_a_mail_holds_what_the_level_allows_and_nothing_else(
    cast: Cast, canaries: None, smtp: SmtpServer, detail: MailDetail
) -> None:
    set_detail(cast, detail)
    parts = parts_of(mail_about(cast.payments, cast.alice, smtp))
    assert found_in(parts["text"]) == found_in(parts["html"]) == MAY_HOLD[detail]
    assert found_in(parts["headers"]) == MAY_HOLD[detail] & {"Canarytopic"}, "the subject names the topic at most"
    assert cast.alice.user.email not in "".join(parts.values())
    link = f"http://messenger.test/northwind/messenger/topics/{cast.payments.pk}/"
    assert link in parts["text"]
    assert f'href="{link}"' in parts["html"]


def test_a_stricter_level_counts_for_mails_that_wait(cast: Cast, canaries: None, smtp: SmtpServer) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    message = post(cast.payments, cast.alice, "Canarytext")
    set_detail(cast, MailDetail.MINIMAL)
    notify_members(message.pk)
    assert found_in("".join(parts_of(smtp.mails[-1]).values())) == set()


def test_the_full_text_comes_as_it_was_written_and_as_it_looks(cast: Cast, smtp: SmtpServer) -> None:
    set_detail(cast, MailDetail.FULL_TEXT)
    parts = parts_of(mail_about(cast.payments, cast.alice, smtp, "**Net** & gross <script>alert(1)</script>"))
    assert "**Net** & gross <script>alert(1)</script>" in parts["text"]
    assert "<strong>Net</strong> &amp; gross" in parts["html"]
    assert "<script" not in parts["html"]


@pytest.mark.parametrize("detail", MailDetail)
def test_no_name_makes_a_header(cast: Cast, smtp: SmtpServer, detail: MailDetail) -> None:
    """Even one that went past every form."""
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


def test_what_a_mail_looks_like_at_the_level_is_shown_by_its_preview(cast: Cast, canaries: None) -> None:
    set_detail(cast, MailDetail.TOPIC_AND_SENDER)
    mail = preview(Topic.objects.get(pk=cast.payments.pk), Member.objects.select_related("tenancy").get(pk=cast.bob.pk))
    assert found_in(f"{mail.subject} {mail.body}") == {"Canarytopic", "Canaryreader"}, "Bob as the example's author"


# -- Settings ------------------------------------------------------------------------------------------

SETTINGS = "/northwind/administration/system/settings/notifications/"


def test_the_administrator_sets_the_level_for_the_tenancy(cast: Cast) -> None:
    dana = sign_in(cast.dana)
    assert cast.northwind.mail_detail == MailDetail.MINIMAL, "the usual"
    assert 'value="minimal"' in dana.get(SETTINGS).content.decode()
    assert dana.post(SETTINGS, {"mail_detail": "full_text"}).status_code == 302
    cast.northwind.refresh_from_db()
    cast.aurora.refresh_from_db()
    assert cast.northwind.mail_detail == MailDetail.FULL_TEXT
    assert cast.aurora.mail_detail == MailDetail.MINIMAL, "another client's is theirs"


def test_a_level_that_is_none_is_refused(cast: Cast) -> None:
    assert sign_in(cast.dana).post(SETTINGS, {"mail_detail": "everything"}).status_code == 422
    cast.northwind.refresh_from_db()
    assert cast.northwind.mail_detail == MailDetail.MINIMAL


# -- The links that end mails --------------------------------------------------------------------------


def stop_path(mail: EmailMessage) -> str:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    match = re.fullmatch(r"<(http://messenger\.test/unsubscribe/[^>]+)>", mail["List-Unsubscribe"].strip())
    assert match, mail["List-Unsubscribe"]
    return urlsplit(match[1]).path


def one_click(path: str) -> Any:
    """As a mail program does: without cookies, without a token, without being asked."""
    client = Client(enforce_csrf_checks=True)
    return client.post(path, "List-Unsubscribe=One-Click", content_type="application/x-www-form-urlencoded")


def undo_in(page: Any) -> str:
    match = re.search(r'name="again" value="([^"]+)"', page.content.decode())
    assert match, "there is a button Undo"
    return match[1]


def test_a_mail_programs_own_button_mutes_the_topic_for_that_member(
    cast: Cast, smtp: SmtpServer, settings: Any
) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    assert one_click(path).status_code == 200
    assert list(TopicMute.objects.values_list("member", "topic")) == [(cast.bob.pk, cast.payments.pk)]
    mails = len(smtp.mails)
    notify_members(post(cast.payments, cast.alice).pk)
    assert len(smtp.mails) == mails, "no more for Bob"
    mail_about(make_topic(cast.payroll, "Pensions"), cast.alice, smtp)
    assert len(smtp.mails) == mails + 1, "his other topics go on"
    assert one_click(path).status_code == 200, "again is harmless"


def test_looking_at_the_link_changes_nothing(cast: Cast, smtp: SmtpServer) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    for method in ("get", "head", "options"):
        getattr(Client(), method)(path)
    assert not TopicMute.objects.exists()
    page = Client().get(path).content.decode()
    assert '<form method="post"' in page


def test_the_page_behind_the_link_names_nobody_and_nothing(cast: Cast, canaries: None, smtp: SmtpServer) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    stopped = Client().post(path)
    for page in (Client().get(path), stopped, Client().post(path, {"again": undo_in(stopped)})):
        text = page.content.decode()
        assert found_in(text) == set()
        assert cast.bob.user.email not in text
        assert "northwind" not in text.lower()


def test_it_can_be_undone_where_it_was_done(cast: Cast, smtp: SmtpServer) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    undo = undo_in(Client().post(path))
    Client().post(path, {"again": undo})
    assert not TopicMute.objects.exists()


def test_an_old_link_ends_mails_and_never_begins_any(cast: Cast, smtp: SmtpServer) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    other = stop_path(mail_about(make_topic(cast.payroll, "Pensions"), cast.alice, smtp))
    undo = undo_in(Client().post(path))
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        Client().post(path, {"again": undo})
    Client().post(path, {"again": "1"})
    Client().post(path, {"again": undo_in(Client().post(other))})
    assert TopicMute.objects.count() == 2


def test_the_link_works_for_its_member_whoever_is_signed_in(cast: Cast, smtp: SmtpServer) -> None:
    path = stop_path(mail_about(cast.payments, cast.alice, smtp))
    assert sign_in(cast.erin).post(path).status_code == 200
    assert TopicMute.objects.get().member == cast.bob


def test_a_link_that_nobody_was_mailed_is_a_404(cast: Cast) -> None:
    path = urlsplit(unsubscribe_link(cast.bob, cast.payments)).path
    forged = path[:-2] + ("A" if path[-2] != "A" else "B") + "/"
    foreign = urlsplit(unsubscribe_link(cast.bob, cast.secrets)).path
    for wrong in (forged, "/unsubscribe/x/", foreign):
        assert Client().get(wrong).status_code == 404
        assert Client().post(wrong).status_code == 404
    assert not TopicMute.objects.exists()


def test_the_link_in_a_catch_up_mail_ends_those(cast: Cast) -> None:
    choice = preference_of(cast.bob)
    choice.catch_up = MailPreference.CatchUp.WEEKDAYS
    save_preference(choice)
    path = urlsplit(unsubscribe_link(cast.bob, None)).path
    Client().get(path)
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.WEEKDAYS, "looking changes nothing"
    assert one_click(path).status_code == 200
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.NEVER
    assert preference_of(cast.bob).next_catch_up_at is None


def test_to_undo_it_brings_the_catch_up_mails_back_on_the_days_on_which_they_came(cast: Cast) -> None:
    choice = preference_of(cast.bob)
    choice.catch_up = MailPreference.CatchUp.WEEKDAYS
    save_preference(choice)
    path = urlsplit(unsubscribe_link(cast.bob, None)).path
    page = one_click(path).content.decode()
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.NEVER, "or the test proves nothing"
    undo = re.search(r'name="again" value="([^"]+)"', page)
    assert undo
    assert "They continue as before." in Client().post(path, {"again": undo[1]}).content.decode()
    assert preference_of(cast.bob).catch_up == MailPreference.CatchUp.WEEKDAYS
