"""Caches: fragments of pages, the menu's badge, pages of threads, rows of the topic list, a topic's audience."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.template import Context, TemplateSyntaxError, engines
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import get_language, gettext

from common.caching.local_cache import LocalCache
from messenger.groups.services import save_group
from messenger.messages import rendering
from messenger.messages.editing import edit_message, remove_message
from messenger.models import Message, Topic
from messenger.notifications.preferences.services import set_muted
from messenger.notifications.recipients import Audience, audience_of, clear_audience_cache
from messenger.reading.positions import mark_all_read, mark_read, mark_unread_from
from messenger.reading.unread_count import count_unread_topics
from messenger.search import hits
from messenger.threads import pages
from messenger.threads.thread_topic import topic_for
from messenger.topics import listing
from messenger.topics.services import save_topic
from tenancy.members import save_member
from tenancy.models import Member
from tests.support.cast import Cast, age, make_topic, post, sign_in
from tests.support.faults import redis_away

# -- Cached fragments --------------------------------------------------------------------------------------------------


def render(source: str, **values: Any) -> str:
    return str(engines["django"].from_string(source).template.render(Context(values)))  # type: ignore[attr-defined]


class Counted:
    """A value that counts how often it was rendered."""

    renderings = 0

    def __str__(self) -> str:
        self.renderings += 1
        return "x"


def test_a_fragment_is_rendered_once_for_the_same_values() -> None:
    template = engines["django"].from_string("{% kept who=who what=what %}{{ who }}{{ what }}{% endkept %}").template  # type: ignore[attr-defined]
    first, second = Counted(), Counted()
    for _ in range(3):
        assert template.render(Context({"who": first, "what": 1})) == "x1"
    assert first.renderings == 1
    assert template.render(Context({"who": first, "what": 2})) == "x2"
    assert template.render(Context({"who": second, "what": 1})) == "x1"
    assert (first.renderings, second.renderings) == (2, 1)


def test_two_fragments_with_the_same_values_are_cached_separately() -> None:
    assert render("{% kept a=1 %}one{% endkept %}{% kept a=1 %}two{% endkept %}") == "onetwo"


def test_a_fragment_can_use_nothing_but_its_cache_key() -> None:
    assert render(
        "{% kept a=1 %}[{{ secret }}{{ request }}{{ user }}]{% endkept %}", secret="s", request="r", user="u"
    ) == ("[]")
    with_loop = "{% for name in names %}{% kept %}[{{ name }}{{ forloop.counter }}]{% endkept %}{% endfor %}"
    assert render(with_loop, names=["Ann", "Bob"]) == "[][]"


def test_safe_and_unsafe_texts_are_cached_separately() -> None:
    template = engines["django"].from_string("{% kept name=name %}{{ name }}{% endkept %}").template  # type: ignore[attr-defined]
    assert template.render(Context({"name": mark_safe("<b>")})) == "<b>"
    assert template.render(Context({"name": "<b>"})) == "&lt;b&gt;"


def test_true_and_one_are_cached_separately() -> None:
    template = engines["django"].from_string("{% kept value=value %}{{ value }}{% endkept %}").template  # type: ignore[attr-defined]
    assert [template.render(Context({"value": value})) for value in (True, 1, 1.0)] == ["True", "1", "1.0"]


def test_fragments_are_cached_for_each_language() -> None:
    template = engines["django"].from_string('{% kept %}{% translate "Monday" %}{% endkept %}').template  # type: ignore[attr-defined]
    assert template.render(Context()) == "Monday"
    with translation.override("de"):
        assert gettext("Monday") != "Monday", "or the test proves nothing"
        assert template.render(Context()) == gettext("Monday")


def test_a_lazy_value_is_evaluated_for_the_cache_key() -> None:
    template = engines["django"].from_string("{% kept sees=sees %}{{ sees }}{% endkept %}").template  # type: ignore[attr-defined]
    for sees in (True, False, True):
        lazy = SimpleLazyObject(lambda sees=sees: sees)  # type: ignore[misc]
        assert template.render(Context({"sees": lazy})) == str(sees)


def test_a_value_without_a_name_is_refused() -> None:
    with pytest.raises(TemplateSyntaxError, match="by name: user"):
        render("{% kept user %}{% endkept %}")


@pytest.mark.django_db
def test_a_slot_is_rendered_each_time_with_the_context_of_the_page() -> None:
    source = "{% kept who=who %}[{{ who }} {{ page }} {% slot %}{{ page }} {{ who }}{% endslot %}]{% endkept %}"
    template = engines["django"].from_string(source).template  # type: ignore[attr-defined]
    who = Counted()
    assert template.render(Context({"who": who, "page": "<1>"})) == "[x  &lt;1&gt; x]"
    assert template.render(Context({"who": who, "page": "2"})) == "[x  2 x]"
    assert who.renderings == 3, "once in the fragment, twice in its slot"


def test_a_slot_in_an_untaken_branch_is_left_out() -> None:
    source = "{% kept a=a %}{% if a %}yes {% slot %}{{ page }}{% endslot %}{% else %}no{% endif %}{% endkept %}"
    assert render(source, a=True, page=1) == "yes 1"
    assert render(source, a=False, page=1) == "no"


def test_the_slots_of_a_nested_fragment_are_rendered_each_time() -> None:
    source = "{% kept a=1 %}({% kept b=a %}{{ b }}{% slot %}{{ page }}{% endslot %}{% endkept %}){% endkept %}"
    template = engines["django"].from_string(source).template  # type: ignore[attr-defined]
    assert template.render(Context({"page": "one"})) == "(1one)"
    assert template.render(Context({"page": "two"})) == "(1two)"


def test_a_slot_outside_of_a_fragment_is_rendered_as_usual() -> None:
    assert render("{% slot %}{{ page }}{% endslot %}", page=1) == "1"
    with pytest.raises(TemplateSyntaxError):
        render("{% slot name %}{% endslot %}")


def test_no_member_sees_fragments_of_others(cast: Cast) -> None:
    make_topic(cast.payroll, "Second")
    pages = ["/northwind/", "/northwind/messenger/", f"/northwind/messenger/topics/{cast.payments.pk}/"]
    alice, bob, charlie = sign_in(cast.alice), sign_in(cast.bob), sign_in(cast.charlie)
    for client, other_name in ((alice, "Bob Brandt"), (bob, "Alice Almeida"), (alice, "Bob Brandt")):
        for page in pages:
            html = client.get(page).content.decode()
            assert other_name not in html, page
            disc = "AA" if client is alice else "BB"
            assert f'<span class="disc disc-self" aria-hidden="true">{disc}</span>' in html, page
    assert "Messenger</" not in charlie.get("/northwind/").content.decode()
    assert "Create new topic" in alice.get(pages[1]).content.decode()
    assert "Create new topic" not in bob.get(pages[1]).content.decode()


# -- The menu's badge --------------------------------------------------------------------------------------------------


@pytest.fixture
def committed(transactional_db: None, cast: Cast) -> Cast:
    """The cast, committed: nothing is cached within a transaction."""
    assert not connection.in_atomic_block
    return cast


def statements(work: Any) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_unread_topics_are_counted_once_until_something_is_posted_or_read(committed: Cast) -> None:
    post(committed.payments, committed.alice)
    assert count_unread_topics(committed.bob) == 1
    assert statements(lambda: count_unread_topics(committed.bob)) == 0
    second = make_topic(committed.payroll, "Second")
    post(second, committed.alice)
    assert count_unread_topics(committed.bob) == 2
    mark_read(second, committed.bob, 1)
    assert count_unread_topics(committed.bob) == 1
    mark_unread_from(second, committed.bob, 1)
    assert count_unread_topics(committed.bob) == 2
    remove_message(second.pk, 1, committed.alice)
    assert count_unread_topics(committed.bob) == 1
    mark_all_read(committed.bob)
    assert count_unread_topics(committed.bob) == 0
    assert count_unread_topics(committed.alice) == 0, "her own messages"


def test_without_redis_unread_topics_are_counted_each_time(committed: Cast, settings: Any) -> None:
    post(committed.payments, committed.alice)
    with redis_away(settings):
        assert count_unread_topics(committed.bob) == 1
        mark_read(committed.payments, committed.bob, 1)
        assert count_unread_topics(committed.bob) == 0


def test_a_count_from_before_a_message_is_not_cached_after_it(committed: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is posted after the marks of the cache were read, and before the count is cached."""
    from messenger.reading import unread_count

    counted = unread_count.UNREAD_TOPICS

    def count_and_post(member: int) -> Any:
        found = counted(member)
        post(committed.payments, committed.alice)
        return found

    monkeypatch.setattr(unread_count, "UNREAD_TOPICS", count_and_post)
    assert count_unread_topics(committed.bob) == 0
    monkeypatch.undo()
    assert count_unread_topics(committed.bob) == 1


# -- Pages of a thread -------------------------------------------------------------------------------------------------


def html_for(member: Member, topic: Topic) -> str:
    return pages.latest(topic_for(member, topic.pk).topic, member).html.decode()


@pytest.fixture
def settled(committed: Cast) -> Cast:
    """A message of Alice's whose e-mails have been sent; only such pages are cached."""
    post(committed.payments, committed.alice, "From Alice")
    Message.objects.update(addressees=0)
    save_group(committed.payroll, [committed.alice, committed.bob, committed.charlie])
    return committed


def test_a_page_is_fetched_once_for_all_but_authors_and_mentioned_members(settled: Cast) -> None:
    topics = {who: topic_for(who, settled.payments.pk).topic for who in (settled.alice, settled.bob, settled.charlie)}
    shared = pages.latest(topics[settled.bob], settled.bob)
    assert "From Alice" in shared.html.decode()
    assert statements(lambda: pages.latest(topics[settled.charlie], settled.charlie)) == 0
    assert pages.latest(topics[settled.charlie], settled.charlie) == shared
    for _ in range(2):
        own = pages.latest(topics[settled.alice], settled.alice)
        assert "message-own" in own.html.decode()
        assert "message-own" not in shared.html.decode()
    assert statements(lambda: pages.latest(topics[settled.alice], settled.alice)) == 0


def test_a_mentioned_member_sees_a_page_of_their_own(settled: Cast) -> None:
    post(settled.payments, settled.alice, "Ask @Bob Brandt.")
    Message.objects.update(addressees=0)
    for _ in range(2):
        assert "mention-own" not in html_for(settled.charlie, settled.payments)
        assert "mention-own" in html_for(settled.bob, settled.payments)
        assert 'class="mention"' in html_for(settled.charlie, settled.payments)


def test_pages_are_cached_for_each_language_and_time_zone(settled: Cast) -> None:
    html = {}
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart
        with timezone.override(zone):
            html[zone] = html_for(settled.bob, settled.payments)
    assert len(set(html.values())) == 2
    with translation.override("de"):
        assert html_for(settled.bob, settled.payments) not in html.values()


def test_edits_removals_and_renamed_authors_appear_at_once(settled: Cast) -> None:
    def html() -> str:
        return html_for(settled.bob, settled.payments)

    assert "From Alice" in html()
    message = Message.objects.get()
    edit_message(settled.payments.pk, message.sequence, settled.alice, "Edited by Alice")
    assert "Edited by Alice" in html()
    settled.alice.name = "Alice Renamed"
    save_member(settled.alice)
    settled.bob.tenancy.refresh_from_db()  # as in a new request
    assert "Alice Renamed" in html()
    remove_message(settled.payments.pk, message.sequence, settled.alice)
    assert "Edited by Alice" not in html()
    assert "removed by its author" in html()


def test_a_page_with_pending_e_mails_is_not_cached(settled: Cast) -> None:
    Message.objects.update(addressees=None)
    topic = topic_for(settled.bob, settled.payments.pk).topic
    assert "about to be sent" in pages.latest(topic, settled.bob).html.decode()
    Message.objects.update(addressees=1)
    assert "E-mailed to 1 person" in pages.latest(topic, settled.bob).html.decode()


def test_an_uncommitted_page_is_not_cached(settled: Cast) -> None:
    topic = topic_for(settled.bob, settled.payments.pk).topic
    with transaction.atomic():
        Message.objects.update(body_html="Never said")
        assert "Never said" in pages.latest(topic, settled.bob).html.decode()
        transaction.set_rollback(True)
    assert "From Alice" in pages.latest(topic, settled.bob).html.decode()


# -- Rows of the list --------------------------------------------------------------------------------------------------


def row_of(client: Client, topic: Topic) -> str:
    page = client.get("/northwind/messenger/").content.decode()
    (row,) = [row for row in page.split('<li class="topic')[1:] if f"/topics/{topic.pk}/" in row]
    return row.partition("</li>\n")[0]


def test_the_last_message_of_a_topic_is_fetched_once_for_all(settled: Cast) -> None:
    def fetch_list(who: Member) -> None:
        rows, _ = listing.first_page(who, listing.groups_of(who))
        assert [row.excerpt for row in rows if row.pk == settled.payments.pk] == ["From Alice"]

    fetch_list(settled.bob)
    assert statements(lambda: fetch_list(settled.bob)) == statements(lambda: fetch_list(settled.charlie)) == 2
    listing.clear_listing_cache()
    assert statements(lambda: fetch_list(settled.charlie)) == 3


def test_every_change_of_a_topic_appears_in_the_list_at_once(settled: Cast) -> None:
    topic, bob = settled.payments, sign_in(settled.bob)

    def now() -> Topic:
        return Topic.objects.get(pk=topic.pk)

    def change_topic(**values: Any) -> None:
        changed = now()
        for name, value in values.items():
            setattr(changed, name, value)
        save_topic(changed, values)

    def rename(member: Member, name: str) -> None:
        member.name = name
        save_member(member)

    def rename_group(name: str) -> None:
        settled.payroll.name = name
        save_group(settled.payroll, [settled.alice, settled.bob, settled.charlie])

    changes: list[tuple[Callable[[], object], str]] = [
        (lambda: change_topic(name="Another name"), ">Another name</a>"),
        (lambda: change_topic(notification_interval=125), "a pause of 2 hours 5 minutes"),
        (lambda: change_topic(notifications_enabled=False), "Notifications are off"),
        (lambda: change_topic(notifications_enabled=True), "a pause of 2 hours 5 minutes"),
        (lambda: set_muted(now(), settled.bob, muted=True), "Muted by you"),
        (lambda: set_muted(now(), settled.bob, muted=False), "a pause of 2 hours 5 minutes"),
        (lambda: edit_message(topic.pk, 1, settled.alice, "Said otherwise"), "Said otherwise"),
        (lambda: rename(settled.alice, "Alice Renamed"), "<b><bdi>Alice Renamed</bdi>:</b>"),
        (lambda: rename_group("Group Renamed"), "Group Renamed"),
        (lambda: post(now(), settled.charlie, "@Bob Brandt, here"), ":</b> <bdi>@Bob Brandt, here</bdi>"),
        (lambda: remove_message(topic.pk, 2, settled.charlie), "Message removed"),
        (lambda: post(now(), settled.charlie, "@Bob Brandt, again"), "You are mentioned in unread messages"),
        (lambda: mark_read(now(), settled.bob, 2), ">1<span"),
        (lambda: mark_unread_from(now(), settled.bob, 1), ">2<span"),
    ]
    for change, expected in changes:
        before = row_of(bob, topic)
        assert expected not in before, f"{expected}: or the test proves nothing"
        assert row_of(bob, topic) == before
        change()
        assert expected in row_of(bob, topic)
    mark_read(now(), settled.bob, 3)
    assert "unread" not in row_of(bob, topic).replace("data-unread", "")


def test_the_row_of_a_topic_changes_with_its_first_message(settled: Cast) -> None:
    empty = make_topic(settled.payroll, "Nothing yet")
    for topic in (settled.payments, empty):
        age(topic, timedelta(days=400))
    bob = sign_in(settled.bob)
    before = row_of(bob, empty)
    assert "No messages yet" in before
    assert row_of(bob, empty) == before
    message = post(empty, settled.alice, "The first")
    after = row_of(bob, empty)
    assert "The first" in after
    assert f'<time datetime="{message.posted_at:%Y-}' not in before
    assert f'<time datetime="{message.posted_at:%Y-}' in after


def test_rows_are_cached_for_each_language_and_time_zone(settled: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def row() -> listing.TopicRow:
        (row,) = listing.first_page(settled.bob, listing.groups_of(settled.bob))[0]
        return row

    monkeypatch.setattr(listing, "_", lambda text: f"{text} ({get_language()})")
    remove_message(settled.payments.pk, 1, settled.alice)
    english = row()
    assert english.excerpt == "Message removed (en-gb)"
    assert row() is english, "cached, or the test proves nothing"
    with translation.override("de"):
        assert row().excerpt == "Message removed (de)"
    moments = set()
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):  # 25 hours apart
        with timezone.override(zone):
            moments.add(row().moment)
    assert len(moments) == 2


def test_an_uncommitted_last_message_is_not_cached(settled: Cast) -> None:
    def excerpt() -> list[str]:
        rows, _ = listing.first_page(settled.bob, listing.groups_of(settled.bob))
        return [row.excerpt for row in rows if row.pk == settled.payments.pk]

    listing.clear_listing_cache()
    with transaction.atomic():
        Message.objects.update(body_html="Never said")
        assert excerpt() == ["Never said"]
        transaction.set_rollback(True)
    assert excerpt() == ["From Alice"]


# -- A topic's audience ------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_audience_is_counted_once_until_it_changes_not_with_each_message(cast: Cast) -> None:
    def now() -> Topic:
        return Topic.objects.get(pk=cast.payments.pk)

    topic = now()
    assert audience_of(topic) == Audience(people=2, mailed=2)
    assert statements(lambda: audience_of(topic)) == 0
    post(cast.payments, cast.alice)
    after_post = now()
    assert after_post.revision > topic.revision, "or the test proves nothing"
    assert statements(lambda: audience_of(after_post)) == 0
    set_muted(cast.payments, cast.bob, True)
    assert audience_of(now()) == Audience(people=2, mailed=1)
    save_group(cast.payroll, [cast.alice, cast.bob, cast.charlie])
    assert audience_of(now()) == Audience(people=3, mailed=2)
    clear_audience_cache()
    assert audience_of(now()) == Audience(people=3, mailed=2)


@pytest.mark.parametrize(
    ("is_muted", "wants_own", "recipients"), [(False, False, 4), (False, True, 5), (True, False, 5), (True, True, 5)]
)
def test_authors_are_among_the_recipients_only_if_they_want_their_own_messages(
    is_muted: bool, wants_own: bool, recipients: int
) -> None:
    """Of seven people, five get e-mails. Someone who muted the topic is not one of the five."""
    assert Audience(people=7, mailed=5).recipients(is_muted=is_muted, wants_own=wants_own) == recipients


@pytest.mark.django_db
def test_a_thread_makes_the_same_statements_for_each_member(cast: Cast) -> None:
    def cost(client: Client) -> int:
        return statements(lambda: client.get(f"/northwind/messenger/topics/{cast.payments.pk}/"))

    alice, bob = sign_in(cast.alice), sign_in(cast.bob)
    assert cost(alice) == cost(bob) + 1, "the first one counts the audience"
    assert cost(alice) == cost(bob)


def test_the_longest_texts_are_shown_but_not_cached(cast: Cast) -> None:
    post(cast.payments, cast.alice, "Short enough")
    post(cast.payments, cast.alice, "long " * 1_990)
    rendering._message.cache_clear()
    hits._render.cache_clear()
    bob = sign_in(cast.bob)
    for path in ("/northwind/messenger/search/?q=long", "/northwind/messenger/search/?q=short"):
        assert 'class="hit"' in bob.get(path).content.decode()
    assert hits._render.cache_info().currsize == 1
    thread = bob.get(f"/northwind/messenger/topics/{cast.payments.pk}/").content.decode()
    assert "long " * 1_900 in thread
    assert "Short enough" in thread
    assert rendering._message.cache_info().currsize == 1


def test_a_cache_stays_within_its_size_and_refuses_larger_values() -> None:
    cache: LocalCache[str] = LocalCache(10)
    for key in range(25):
        cache.put(key, "nothing", size=0)
        assert len(cache._values) <= 10
    cache.put("large", "whatever", size=11)
    assert cache.get("large") is None
    assert cache.get(24) == "nothing", "nothing was evicted for it"


def test_a_replaced_entry_counts_once() -> None:
    cache: LocalCache[str] = LocalCache(10)
    cache.put("neighbour", "stays")
    for version in range(25):
        cache.put("page", f"version {version}", size=1 + version % 9)
        assert cache.get("page") == f"version {version}"
    assert cache.get("neighbour") == "stays", "there was always room for both"
    cache.put("page", "too large", size=11)
    assert cache.get("page") is None, "an older version would be wrong"
    for key in range(9):
        cache.put(key, "fills the rest")
    assert cache.get("neighbour") == "stays", "a removed entry no longer counts"


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    cache: LocalCache[str] = LocalCache(3)
    for key in ("first", "second", "third"):
        cache.put(key, key)
    assert cache.get("first") == "first"
    cache.put("fourth", "fourth")
    assert [key for key in ("first", "second", "third", "fourth") if cache.get(key)] == ["first", "third", "fourth"]
    cache.put("large", "large", size=2)
    assert [key for key in ("first", "third", "fourth", "large") if cache.get(key)] == ["fourth", "large"]


def test_concurrent_changes_of_a_cache_do_not_falsify_its_size() -> None:
    cache: LocalCache[int] = LocalCache(50)

    def use(thread: int) -> None:
        for number in range(10_000):
            cache.put(number % 60, thread, size=1 + number % 5)
            cache.get(number % 7)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as executor:
            list(executor.map(use, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert cache._size == sum(size for _, size in cache._values.values()) <= 50
