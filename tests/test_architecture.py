"""The shape of the source: who imports whom, what a template may hold, vendored files as they came."""

import ast
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.conf import settings

CHECKOUT: Path = settings.BASE_DIR
APPS = ("accounts", "tenancy", "messenger")
# What each may not import: those above it.
ABOVE = {"accounts": {"tenancy", "messenger"}, "tenancy": {"messenger"}, "messenger": set[str]()}


def sources(*paths: Path) -> list[Path]:
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    assert found, f"nothing to read in {paths}, and the test would prove nothing"
    return found


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """The modules that a file imports, anywhere in it, each with its line; relative ones made absolute."""
    package = file.relative_to(CHECKOUT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def offences(files: list[Path], forbidden: set[str]) -> list[str]:
    return [
        f"{file.relative_to(CHECKOUT)}:{line} imports {module}"
        for file in files
        for line, module in imports(file)
        if module.split(".")[0] in forbidden
    ]


@pytest.mark.parametrize("app", APPS)
def test_imports_go_in_one_direction(app: str) -> None:
    assert offences(sources(CHECKOUT / app), ABOVE[app]) == []


def test_messenger_does_import_the_others() -> None:
    """Or the reading of imports would find nothing, and the test above prove nothing."""
    found = offences(sources(CHECKOUT / "messenger"), {"tenancy"})
    assert any("access.py" in offence for offence in found)


def test_what_all_apps_share_knows_none_of_them() -> None:
    assert offences(sources(CHECKOUT / "common"), {*APPS, "ippex_messenger"}) == []


def test_the_product_imports_no_tests() -> None:
    product = sources(*(CHECKOUT / folder for folder in ("common", *APPS, "ippex_messenger")))
    assert offences(product, {"tests", "pytest"}) == []


def test_messages_are_written_in_one_place() -> None:
    writing = re.compile(r"\bMessage(\.objects\.(bulk_)?create|\()")
    writers = {
        str(file.relative_to(CHECKOUT))
        for file in sources(*(CHECKOUT / app for app in APPS))
        if any(writing.search(line) for line in file.read_text().splitlines() if not line.startswith("class "))
    }
    assert writers == {"messenger/messages/posting.py"}


class Inline(HTMLParser):
    """What the Content-Security-Policy would not run: scripts and styles within the page."""

    def __init__(self, template: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(template)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(f"<{tag}>, line {self.getpos()[0]}")
        self.found += [
            f"<{tag} {name}=…>, line {self.getpos()[0]}"
            for name in names
            if name == "style" or re.fullmatch("on[a-z]+", name)
        ]
        self.found += [f"<{tag} {name}={value}>" for name, value in attrs if (value or "").startswith("javascript:")]


@pytest.mark.parametrize(
    ("template", "count"),
    [
        ("<script>alert(1)</script>", 1),
        ('<SCRIPT type="module">', 1),
        ("<script src=\"{% static 'x.js' %}\" type=module></script>", 0),
        ('<p style="color: red" {% if x %}onclick="y()"{% endif %}>', 2),
        ("<style>p {}</style>", 1),
        ('<a href="javascript:x()">', 1),
        ('<p class="style" data-on="once">', 0),
    ],
)
def test_inline_scripts_and_styles_are_found_where_there_are_some(template: str, count: int) -> None:
    assert len(Inline(without_tags(template)).found) == count


def without_tags(template: str) -> str:
    """Django's own tags taken out: an attribute may be written within one's branches."""
    return re.sub(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", "", template, flags=re.DOTALL)


def test_no_template_holds_an_inline_script_or_style() -> None:
    templates = sorted((CHECKOUT / "templates").rglob("*.html"))
    assert len(templates) > 20, "or the test proves nothing"
    offending = {
        str(file.relative_to(CHECKOUT)): found
        for file in templates
        if (found := Inline(without_tags(file.read_text())).found)
    }
    assert offending == {}


def test_no_template_takes_the_escaping_away() -> None:
    unsafe = re.compile(r"\|\s*safe\b|autoescape off")
    offending = [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "templates").rglob("*.html"))
        if unsafe.search(file.read_text())
    ]
    assert offending == []


def test_no_template_fetches_from_elsewhere() -> None:
    elsewhere = re.compile(r"""(src|href)\s*=\s*["']?(https?:)?//""")
    offending = [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "templates").rglob("*.html"))
        if elsewhere.search(file.read_text())
    ]
    assert offending == []


VENDOR = CHECKOUT / "static" / "vendor"
OURS = {"CHECKSUMS", "README.md"}


def test_vendored_files_are_what_their_makers_published() -> None:
    lines = (VENDOR / "CHECKSUMS").read_text().splitlines()
    listed = {
        name.removeprefix("*").removeprefix("./"): digest for digest, name in (line.split(None, 1) for line in lines)
    }
    present = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.relative_to(VENDOR).as_posix() not in OURS
    }
    assert present, "or the test proves nothing"
    assert present == listed
