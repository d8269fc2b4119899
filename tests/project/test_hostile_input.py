"""No input of a client causes a server error: every route and form with generated input."""

import re
from http.cookies import SimpleCookie
from itertools import cycle
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from messenger.models import Message
from tests.support.stage import ROUTES, Response, Stage, parameters_of, rolled_back, snapshot

EXAMPLES = settings(
    max_examples=80,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
FEW = settings(EXAMPLES, max_examples=50)

NUL, OVERRIDE, SURROGATE = "\0", "\u202e", "\ud800"
NAUGHTY = [
    "",
    " ",
    NUL,
    f"a{NUL}b",
    OVERRIDE + "evil",
    "\u200b",
    "\u2028",
    "\r\n",
    "\t",
    "'",
    '"',
    "<script>",
    "%",
    "%00",
    "{{ 7 }}",
    "0",
    "-1",
    "1.5",
    "1e9",
    "٣",
    "²",
    "½",
    "Ⅷ",
    "１",
    "+1",
    "0x1",
    "1_000",
    "NaN",
    "Infinity",
    "true",
    "null",
    "None",
    "9" * 18,
    "9" * 19,
    "9" * 26,
    "-" + "9" * 26,
    "9" * 5000,
    "x" * 121,
    "x" * 3000,
    "é" * 10_001,
    "𝔘𝔫𝔦" * 50,
    "\ufeff",
    "a@b",
    "a@" + "b" * 300,
    "İ",
    "ß",
    "../../etc/passwd",
    "//evil.example",
    "javascript:alert(1)",
    "[1, 2]",
    "00000000-0000-0000-0000-000000000000",
    "**" * 2000,
    "[" * 3000,
    "> " * 500,
    "`" * 400,
    "http://" + "a." * 500,
    "minutes",
    "days",
    "on",
    "2026-02-30",
    "Asia/Tokyo",
    "Etc/../..",
    "en-gb",
]
WORDS = st.one_of(st.sampled_from(NAUGHTY), st.text(max_size=40), st.integers().map(str))
FIELDS = [
    "name",
    "description",
    "email",
    "users",
    "addresses",
    "is_active",
    "confirmed",
    "group",
    "notification_interval_0",
    "notification_interval_1",
    "notifications_enabled",
    "body",
    "client_id",
    "after",
    "before",
    "time_zone",
    "language",
    "appearance",
    "login",
    "password",
    "password1",
    "password2",
    "oldpassword",
    "remember",
    "next",
    "messenger_enabled",
    "is_administrator",
    "own_messages",
    "csrfmiddlewaretoken",
    "made_for",
    "q",
    "page",
    "per_page",
    "sort",
    "status",
    "inactive",
    "topic",
]
QUERY_FIELDS = ["q", "page", "per_page", "sort", "status", "group", "inactive", "before", "after", "next", "topic", "x",
                "made_for", "author", "since", "until", "older",
                "notification_interval_0", "notification_interval_1"]  # fmt: skip
CHARSETS = [
    "utf-8",
    "utf-16",
    "utf-7",
    "utf-32",
    "latin-1",
    "unicode_escape",
    "raw_unicode_escape",
    "idna",
    "punycode",
    "hex",
    "rot13",
    "zlib",
    "undefined",
    "none-such",
    "",
    '"',
    "cp037",
    "mbcs",
    "utf-8-sig",
]
ROLE_OF = {"tenancy": "dana", "messenger_users": "dana", "messenger": "alice"}

PAIRS = st.lists(st.tuples(st.sampled_from(QUERY_FIELDS), WORDS), max_size=4)


def client_for(stage: Stage, route: str) -> Client:
    """The client of a role that is allowed to use the form; shared by many requests."""
    role = ROLE_OF.get(route.partition(":")[0], "stranger" if route.startswith(("account", "invitation")) else "bob")
    if route in ("account_change_password", "account_logout"):
        role = "bob"
    if role not in stage.clients:
        stage.clients[role] = stage.client(role)
    return stage.clients[role]


def assert_no_server_error(response: Response, *what: Any) -> None:
    information = getattr(response, "exc_info", None)
    assert response.status_code < 500, (*what, information and information[1])


def send(client: Client, path: str, method: str = "GET", body: bytes = b"", kind: str = "", **environ: Any) -> Response:
    """Send one request; its changes to the database and to cookies are undone."""
    cookies = SimpleCookie(dict(client.cookies))
    with rolled_back():
        response: Response = client.generic(method, path, body, content_type=kind, **environ)
    client.cookies = cookies
    return response


def multipart(pairs: list[tuple[str, bytes]], charset: str = "utf-8") -> tuple[bytes, str]:
    """A body and its content type, with the values as they are: not escaped or encoded."""
    parts = [
        b'--boundary\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in pairs
    ]
    return b"".join(parts) + b"--boundary--\r\n", f"multipart/form-data; boundary=boundary; charset={charset}"


def with_field(form: dict[str, Any], name: str, value: bytes) -> list[tuple[str, bytes]]:
    """The form's fields, with this value in one of them."""
    others = {key: one if isinstance(one, list) else [one] for key, one in form.items() if key != name}
    return [(key, one.encode()) for key, values in others.items() for one in values] + [(name, value)]


def encoded(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(key)}={quote(value, errors='surrogatepass')}" for key, value in pairs)


# -- Generated ---------------------------------------------------------------------------------------------


@EXAMPLES
@given(route=st.sampled_from(sorted(ROUTES)), pairs=PAIRS)
def test_no_query_breaks_a_page(stage: Stage, route: str, pairs: list[tuple[str, str]]) -> None:
    response = send(client_for(stage, route), f"{stage.path(route)}?{encoded(pairs)}")
    assert_no_server_error(response, route, pairs)


LISTS = ["tenancy:users", "messenger_users:groups", "messenger_users:users", "messenger:topics", "messenger:thread",
         "messenger:search"]  # fmt: skip


@FEW
@given(route=st.sampled_from(LISTS), pairs=PAIRS)
def test_no_query_breaks_a_list(stage: Stage, route: str, pairs: list[tuple[str, str]]) -> None:
    assert_no_server_error(send(client_for(stage, route), f"{stage.path(route)}?{encoded(pairs)}"), route, pairs)


READ_AS_NUMBERS = ["page", "per_page", "sort", "before", "after", "group"]


def test_no_value_of_a_field_of_a_query_breaks_a_list(stage: Stage) -> None:
    """Tries every value once in every field, with the lists in turn."""
    cases = [(name, value) for name in QUERY_FIELDS for value in NAUGHTY if name in READ_AS_NUMBERS or len(value) < 3]
    for (name, value), route in zip(cases, cycle(LISTS), strict=False):
        response = send(client_for(stage, route), f"{stage.path(route)}?{encoded([(name, value[:300])])}")
        assert_no_server_error(response, route, name, value)


@EXAMPLES
@given(method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]), data=st.data())
def test_no_path_causes_a_server_error(stage: Stage, method: str, data: st.DataObject) -> None:
    pieces = st.one_of(
        WORDS.map(lambda word: word[:200].encode("utf-8", "surrogatepass")),
        st.binary(max_size=12),
        st.sampled_from(
            [b"northwind", b"messenger", b"topics", b"administration", b"users", b"accounts", b"1", b"new"]
        ),
        st.sampled_from([b"invitations", b"password/reset/key", b"zzzzzzzzzzzzz-set-password", b"edit", b"messages"]),
    )
    path = b"/" + b"/".join(data.draw(st.lists(pieces, max_size=6))) + data.draw(st.sampled_from([b"", b"/"]))
    client = client_for(stage, "messenger:topics")
    assert_no_server_error(send(client, "/", method, PATH_INFO=path.decode("latin-1")), path)


@EXAMPLES
@given(route=st.sampled_from(sorted(ROUTES)), piece=WORDS)
def test_no_text_instead_of_an_id_slug_or_key_causes_a_server_error(stage: Stage, route: str, piece: str) -> None:
    piece = piece[:300]
    path = stage.path(route).replace("northwind", piece, 1) if len(piece) % 3 == 0 else stage.path(route)
    if "pk" in parameters_of(ROUTES[route]):
        path = path.replace(str(stage.pk_in(route)), piece, 1)
    elif "key" in parameters_of(ROUTES[route]):
        path = path.rstrip("/").rpartition("/")[0] + f"/{piece}/"
    raw = path.encode("utf-8", "surrogatepass").decode("latin-1")
    assert_no_server_error(send(client_for(stage, route), "/", PATH_INFO=raw), route, piece)


def changed(data: st.DataObject, form: dict[str, Any]) -> list[tuple[str, str]]:
    """A valid form, with some fields left out, repeated, overwritten or added."""
    pairs = []
    for key, value in form.items():
        change = data.draw(st.sampled_from(["none", "none", "other", "twice", "missing"]))
        values = value if isinstance(value, list) else [value]
        if change == "other":
            values = [data.draw(WORDS)]
        elif change == "twice":
            values = [*values, data.draw(WORDS)]
        pairs += [(key, value) for value in values if change != "missing"]
    return pairs + data.draw(st.lists(st.tuples(st.sampled_from(FIELDS), WORDS), max_size=2))


FORMS = sorted(route for route in ROUTES if route not in ("healthz", "readyz", "home") and "done" not in route)


@settings(EXAMPLES, max_examples=200)
@given(route=st.sampled_from(FORMS), data=st.data(), with_fetch=st.booleans())
def test_no_form_causes_a_server_error(stage: Stage, route: str, data: st.DataObject, with_fetch: bool) -> None:
    pairs = changed(data, stage.form(route))
    environ = {"HTTP_X_REQUESTED_WITH": "fetch"} if with_fetch else {}
    body, kind = encoded(pairs).encode(), "application/x-www-form-urlencoded"
    if data.draw(st.booleans()):
        body, kind = multipart([(key, value.encode("utf-8", "surrogatepass")) for key, value in pairs])
    assert_no_server_error(
        send(client_for(stage, route), stage.path(route), "POST", body, kind, **environ), route, pairs
    )


WITH_FORM = [route for route in FORMS if route != "account_logout"]


@pytest.mark.parametrize("route", WITH_FORM)
def test_no_value_of_a_field_of_a_form_breaks_it(stage: Stage, route: str) -> None:
    form, client = stage.form(route), client_for(stage, route)
    for name in form:
        for value in (NUL, OVERRIDE, "9" * 26, "-1", "²", "x" * 11_000, "1e400", "\r\n", f"a@b.example{NUL}"):
            body, kind = multipart(with_field(form, name, value.encode()))
            assert_no_server_error(send(client, stage.path(route), "POST", body, kind), name, value)


@pytest.mark.parametrize("value", ["²", "٣", "½", "１", "-1", "1.5", "9" * 26, "", NUL, "x"])
def test_no_value_of_after_breaks_a_message_sent_with_fetch(stage: Stage, value: str) -> None:
    """`after` is the sequence number of the last message on the page."""
    client, form = stage.client("bob"), stage.form("messenger:messages")
    response = client.post(stage.path("messenger:messages"), {**form, "after": value}, HTTP_X_REQUESTED_WITH="fetch")
    assert_no_server_error(response, value)


@pytest.mark.parametrize("charset", CHARSETS)
def test_no_charset_breaks_a_form(stage: Stage, charset: str) -> None:
    """Some charsets decode plain bytes to lone surrogates, and some are not for text."""
    texts = [b"Hello", b"\\ud800", b"+2AA-", b"\xff\xfe\x00\xd8", b"\xd8\x00", b"a@b.example\\ud800", b"\\x00"]
    for route in ("account_login", "messenger:messages", "messenger_users:group_new", "profile"):
        form, client = stage.form(route), client_for(stage, route)
        for position, name in enumerate([*form, "addresses"]):
            body, kind = multipart(with_field(form, name, texts[position % len(texts)]), charset)
            assert_no_server_error(send(client, stage.path(route), "POST", body, kind), route, name, charset)


@pytest.mark.parametrize("text", [b"\\ud800", b"a\\ud800@b.example", b"\\u0000"])
def test_no_lone_surrogate_breaks_a_form(stage: Stage, text: bytes) -> None:
    for route in WITH_FORM:
        form, client = stage.form(route), client_for(stage, route)
        for name in [*form, "addresses"]:
            body, kind = multipart(with_field(form, name, text), "unicode_escape")
            assert_no_server_error(send(client, stage.path(route), "POST", body, kind), route, name)


KINDS = [
    "application/json",
    "text/plain",
    "",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    "multipart/mixed; boundary=x",
    "multipart/form-data; boundary=" + "x" * 300,
    "application/x-www-form-urlencoded; charset=utf-16",
    "x/y; charset=hex",
    "application/x-www-form-urlencoded; charset=none-such",
    MULTIPART_CONTENT,
    "\0",
    "text/html; charset=\xff",
]


@FEW
@given(
    route=st.sampled_from(FORMS),
    kind=st.sampled_from(KINDS),
    body=st.one_of(
        st.binary(max_size=300),
        st.sampled_from(
            [b'{"body": "Hello"}', b"{", b"[]", b"--" + BOUNDARY.encode() + b"\r\n\r\n", b"a=1&" * 300, b"%00=%00"]
        ),
    ),
    method=st.sampled_from(["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"]),
)
def test_no_body_of_any_type_causes_a_server_error(
    stage: Stage, route: str, kind: str, body: bytes, method: str
) -> None:
    assert_no_server_error(send(client_for(stage, route), stage.path(route), method, body, kind), route, kind, body)


HEADERS = [
    "LAST_EVENT_ID",
    "X_REQUESTED_WITH",
    "ACCEPT",
    "ACCEPT_LANGUAGE",
    "ACCEPT_ENCODING",
    "REFERER",
    "ORIGIN",
    "RANGE",
    "X_FORWARDED_FOR",
    "X_FORWARDED_PROTO",
    "X_FORWARDED_HOST",
    "IF_MODIFIED_SINCE",
    "IF_NONE_MATCH",
    "USER_AGENT",
    "X_CSRFTOKEN",
    "CONTENT_LENGTH",
    "AUTHORIZATION",
    "X_HTTP_METHOD_OVERRIDE",
]


@FEW
@given(
    route=st.sampled_from(sorted(ROUTES)),
    headers=st.dictionaries(st.sampled_from(HEADERS), WORDS, max_size=3),
    method=st.sampled_from(["GET", "POST"]),
)
def test_no_header_causes_a_server_error(stage: Stage, route: str, headers: dict[str, str], method: str) -> None:
    environ: dict[str, Any] = {
        f"HTTP_{name}": value.encode("utf-8", "surrogatepass").decode("latin-1") for name, value in headers.items()
    }
    assert_no_server_error(send(client_for(stage, route), stage.path(route), method, **environ), route, headers)


@pytest.mark.parametrize(
    "host", ["", "evil.example", "testserver:x", "testserver:99999999", "\0", "[::1", "a b", "x" * 500]
)
def test_no_host_causes_a_server_error(stage: Stage, host: str) -> None:
    for route in ("tenancy:menu", "account_login", "account_reset_password", "healthz"):
        assert_no_server_error(stage.client("bob").get(stage.path(route), HTTP_HOST=host), route, host)


@pytest.mark.parametrize("name", ["sessionid", "csrftoken", "django_language", "messages"])
def test_no_cookie_causes_a_server_error(stage: Stage, name: str) -> None:
    nul = r"\000" * 9
    for value in ("", "x", "x" * 5000, f'"{nul}"', "\xff" * 12, '"', "=;=;", "é"):
        for route in ("home", "account_login", "messenger:thread"):
            client = stage.client("stranger")
            assert_no_server_error(send(client, stage.path(route), HTTP_COOKIE=f"{name}={value}"), name, value)


# -- The response to invalid input ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/north%00wind/", "/northwind/messenger/?q=%00", "/%00", "/accounts/login/?next=%00"])
def test_a_nul_in_path_or_query_is_a_400(stage: Stage, path: str) -> None:
    for role in ("stranger", "bob"):
        assert stage.client(role).get(path).status_code == 400


NAMES = {
    "tenancy:invite": "dana",
    "tenancy:user": "dana",
    "messenger:topic_new": "alice",
    "messenger:topic_edit": "alice",
    "messenger_users:group_new": "dana",
    "messenger_users:group_edit": "dana",
}


@pytest.mark.parametrize("route", NAMES)
def test_an_invalid_name_is_an_error_at_its_field_which_still_shows_it(stage: Stage, route: str) -> None:
    before, client = snapshot(), stage.client(NAMES[route])
    for typed in (f"Pay{NUL}roll", f"Pay{OVERRIDE}roll", "Pay\nroll", "\u200b", "x" * 121, " ", "\u3164"):
        response = client.post(stage.path(route), {**stage.form(route), "name": typed})
        assert response.status_code == 422, typed
        assert set(response.context["form"].errors) == {"name"}
        assert response.context["form"]["name"].value() == typed
        assert typed.strip() == "" or typed in response.content.decode()
    assert snapshot() == before


@pytest.mark.parametrize("name", ["description", "addresses"])
def test_a_nul_in_another_field_of_a_group_is_an_error_at_that_field(stage: Stage, name: str) -> None:
    form = {**stage.form("messenger_users:group_new"), name: f"a{NUL}b"}
    response = stage.client("dana").post(stage.path("messenger_users:group_new"), form)
    assert response.status_code == 422
    assert set(response.context["form"].errors) == {name}


def test_a_nul_in_a_message_is_removed(stage: Stage) -> None:
    form = {"body": f"Pay{NUL}roll", "client_id": str(uuid4())}
    response = stage.client("bob").post(stage.path("messenger:messages"), form)
    assert response.status_code == 303
    assert Message.objects.latest("pk").body == "Payroll"


def test_a_lone_surrogate_in_a_message_is_removed_or_the_request_is_refused(stage: Stage) -> None:
    form = with_field({"client_id": str(uuid4())}, "body", b"Pay\\ud800roll")
    body, kind = multipart(form, "unicode_escape")
    response = stage.client("bob").generic("POST", stage.path("messenger:messages"), body, content_type=kind)
    assert response.status_code in (303, 400)
    if response.status_code == 303:
        assert Message.objects.latest("pk").body == "Payroll"


INVALID_NUMBERS = ["x", "-1", "1.5", "9" * 26, "²", "٣"]
PAGED = {
    "messenger:topics": ("alice", ["page"]),
    "messenger:thread": ("alice", ["before", "after"]),
    "messenger:messages": ("alice", ["before", "after"]),
    "messenger:search": ("alice", ["older"]),
    "tenancy:users": ("dana", ["page"]),
    "messenger_users:groups": ("dana", ["page"]),
    "messenger_users:users": ("dana", ["page"]),
}


@pytest.mark.parametrize("route", PAGED)
def test_an_invalid_number_of_a_page_or_message_is_not_found(stage: Stage, route: str) -> None:
    role, names = PAGED[route]
    client = stage.client(role)
    assert client.get(stage.path(route)).status_code == 200, "or the test proves nothing"
    queries = [(name, value) for name in names for value in INVALID_NUMBERS]
    statuses = {(name, value): client.get(stage.path(route), {name: value}).status_code for name, value in queries}
    assert {query: status for query, status in statuses.items() if status not in (400, 404)} == {}


@pytest.mark.parametrize("value", ["0", "100000", "9" * 18])
def test_before_or_after_a_nonexistent_message_is_an_empty_or_full_page(stage: Stage, value: str) -> None:
    for name in ("before", "after"):
        assert stage.client("bob").get(stage.path("messenger:messages"), {name: value}).status_code == 200


@pytest.mark.parametrize("route", ["tenancy:users", "messenger_users:groups", "messenger_users:users"])
def test_the_length_of_a_page_cannot_be_chosen(stage: Stage, route: str) -> None:
    usual = stage.client("dana").get(stage.path(route)).context["table"].paginator.per_page
    response = stage.client("dana").get(stage.path(route), {"per_page": "100000"})
    assert response.status_code in (400, 404) or response.context["table"].paginator.per_page == usual


@pytest.mark.parametrize("piece", ["0", "-1", "01", "1.5", "x", "9" * 19, "9" * 26, "%20", "１"])
def test_an_id_that_is_not_a_positive_integer_is_a_404(stage: Stage, piece: str) -> None:
    for route in (name for name in ROUTES if "pk" in parameters_of(ROUTES[name])):
        path = re.sub(rf"/{stage.pk_in(route)}(/|$)", f"/{piece}\\1", stage.path(route))
        assert path != stage.path(route), "or the test proves nothing"
        assert client_for(stage, route).get(path).status_code == 404
