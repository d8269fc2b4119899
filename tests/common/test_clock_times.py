"""When clocks go back an hour comes twice: its times are shown with their offsets, wherever a time of day is shown."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.utils import timezone

from accounts.models import User
from common.clock_times import moment_in_words, offset_if_repeated
from messenger.models import Message, Topic
from tests.support.cast import Cast, post, sign_in
from tests.support.pages import TOPICS, text_of, thread

FIRST, SECOND = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)  # in Berlin


@pytest.mark.parametrize(
    ("zone", "moment", "offset"),
    [
        ("Europe/Berlin", FIRST, " UTC+2"),
        ("Europe/Berlin", SECOND, " UTC+1"),
        ("Europe/Berlin", datetime(2026, 10, 24, 23, 59, tzinfo=UTC), ""),
        ("Europe/Berlin", datetime(2026, 10, 25, 2, 0, tzinfo=UTC), ""),
        ("Europe/Berlin", datetime(2026, 3, 29, 0, 59, tzinfo=UTC), ""),
        ("Europe/Berlin", datetime(2026, 3, 29, 1, 0, tzinfo=UTC), ""),
        ("Europe/London", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), " UTC+1"),
        ("Europe/London", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), " UTC+0"),
        ("America/New_York", datetime(2026, 11, 1, 5, 30, tzinfo=UTC), " UTC-4"),
        ("America/New_York", datetime(2026, 11, 1, 6, 30, tzinfo=UTC), " UTC-5"),
        ("America/St_Johns", datetime(2026, 11, 1, 3, 45, tzinfo=UTC), " UTC-2:30"),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC), " UTC+11"),
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, 15, tzinfo=UTC), " UTC+10:30"),
        ("Asia/Tokyo", FIRST, ""),
        ("UTC", FIRST, ""),
    ],
)
def test_an_offset_is_shown_only_where_an_hour_comes_twice(zone: str, moment: datetime, offset: str) -> None:
    assert offset_if_repeated(moment.astimezone(ZoneInfo(zone))) == offset
    with timezone.override(ZoneInfo(zone)):
        assert moment_in_words(moment).endswith(moment.astimezone(ZoneInfo(zone)).strftime("%H:%M") + offset)


@pytest.mark.django_db
def test_two_messages_in_a_repeated_hour_show_which_is_the_earlier_one(cast: Cast) -> None:
    User.objects.filter(pk=cast.bob.user_id).update(time_zone="Europe/Berlin")
    for moment in (FIRST, SECOND):
        message = post(cast.payments, cast.alice, "wages")
        Message.objects.filter(pk=message.pk).update(posted_at=moment)
    Topic.objects.filter(pk=cast.payments.pk).update(last_activity_at=SECOND)
    with time_machine.travel(datetime(2026, 10, 25, 1, 20, tzinfo=UTC), tick=False):
        bob = sign_in(cast.bob)
        page = text_of(bob.get(thread(cast.payments)))
        hits = text_of(bob.get(f"{TOPICS}search/?q=wages"))
        topics = text_of(bob.get(TOPICS))
        record = text_of(bob.get(f"{thread(cast.payments)}messages/1/record/"))
    assert re.findall(r">(02:\d\d[^<]*)</time>", page) == ["02:30 UTC+2", "02:10 UTC+1"]
    assert re.findall(r'title="([^"]*)\(Europe/Berlin\)"', page) == [
        "Sunday, 25 October 2026, 02:30 UTC+2 ",
        "Sunday, 25 October 2026, 02:10 UTC+1 ",
    ]
    assert re.findall(r">([^<]*)</time> · ", hits) == ["25 October 2026, 02:10 UTC+1", "25 October 2026, 02:30 UTC+2"]
    assert re.findall(r'title="([^"]*)">([^<]*)</time>', topics) == [("25 October 2026, 02:10 UTC+1", "02:10 UTC+1")]
    assert "on 25 October 2026, 02:30 UTC+2." in re.sub(r"<[^>]*>", "", record)
