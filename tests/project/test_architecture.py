"""The structure of the source: the order of imports, unique names, no inline scripts in templates, vendored files."""

import ast
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from html.parser import HTMLParser
from pathlib import Path
from typing import cast

import pytest
from django.conf import settings

CHECKOUT: Path = settings.BASE_DIR

# The order of the packages (docs/architecture.md): no file imports from a later entry.
# The entry "messenger" itself stands for what Django loads: migrations, apps and commands.
ORDER = [
    "common.database",
    "common.caching",
    "common.mail",
    "common",
    "accounts",
    "tenancy",
    "messenger.access",
    "messenger.models",
    "messenger.markup",
    "messenger.events",
    "messenger.reading",
    "messenger.web",
    "messenger.notifications.rule",
    "messenger.notifications.recipients",
    "messenger.notifications.delivery",
    "messenger.notifications.explanations",
    "messenger.notifications.catch_up",
    "messenger.notifications.monitoring",
    "messenger.notifications.preferences",
    "messenger.messages",
    "messenger.groups",
    "messenger.threads",
    "messenger.topics",
    "messenger.live",
    "messenger.search",
    "messenger.tasks",
    "messenger.urls",
    "messenger",
    "ippex_messenger",
    "manage",
    "bench",
    "tests",
]


def sources(*paths: Path) -> list[Path]:
    found = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.py")))]
    assert found, f"no files in {paths}, so the test would prove nothing"
    return found


def repository() -> dict[str, Path]:
    """The files of all our modules, by dotted name."""
    folders = [CHECKOUT / name.split(".")[0] for name in ORDER if (CHECKOUT / name.split(".")[0]).is_dir()]
    files = sources(CHECKOUT / "manage.py", *sorted(set(folders)))
    names = {file: file.relative_to(CHECKOUT).with_suffix("").parts for file in files}
    return {".".join(parts[:-1] if parts[-1] == "__init__" else parts): file for file, parts in names.items()}


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def running(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that can be executed, inside functions too: all except the bodies of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(tree):
        if is_for_types_only(child):
            for otherwise in cast("ast.If", child).orelse:
                yield otherwise
                yield from running(otherwise)
        else:
            yield child
            yield from running(child)


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """The line and absolute name of everything that a file imports, inside functions too."""
    package = file.relative_to(CHECKOUT).with_suffix("").parts[:-1]
    for node in running(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from ((node.lineno, f"{module}.{name.name}") for name in node.names)


def own_imports(modules: Mapping[str, Path]) -> dict[str, dict[str, int]]:
    """For each module, those of our modules that it imports, with the line."""
    found: dict[str, dict[str, int]] = {}
    for name, file in modules.items():
        found[name] = {}
        for line, imported in imports(file):
            # What is imported is a module itself, or a name from one.
            module = next((each for each in (imported, imported.rpartition(".")[0]) if each in modules), None)
            if module and module != name:
                found[name][module] = line
    return found


def position(module: str) -> int:
    """The index of a module in ORDER, by the most specific entry."""
    entries = [entry for entry in ORDER if f"{module}.".startswith(f"{entry}.")]
    assert entries, f"{module} belongs to no entry of ORDER"
    return ORDER.index(max(entries, key=len))


def test_no_file_imports_from_a_later_package() -> None:
    offences = [
        f"{module}:{line} imports {imported}"
        for module, imported_modules in own_imports(repository()).items()
        for imported, line in imported_modules.items()
        if position(imported) > position(module)
    ]
    assert offences == []


def test_imports_form_no_cycle() -> None:
    graph = {module: set(imported) for module, imported in own_imports(repository()).items()}
    assert sum(map(len, graph.values())) > 1_000, "imports were found, or the test proves nothing"
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the cycle


def test_every_entry_of_the_order_exists() -> None:
    modules = repository()
    assert [entry for entry in ORDER if entry not in modules] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import messenger.models", ["messenger.models"]),
        ("def f():\n    from messenger.access import readable", ["messenger.access.readable"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import messenger.models", ["typing.TYPE_CHECKING"]),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", ["b"]),
    ],
)
def test_imports_are_found_wherever_they_are_executed(tmp_path: Path, source: str, found: list[str]) -> None:
    file = CHECKOUT / "messenger" / "probe.py"
    nodes = running(ast.parse(source))
    names = [
        f"{node.module}.{name.name}" if isinstance(node, ast.ImportFrom) else name.name
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    ]
    assert not file.exists()
    assert names == found


PRODUCT = ("common", "accounts", "tenancy", "messenger", "ippex_messenger")
# Names that Django and Celery require, or that each subject has.
RECURRING = set(
    "__init__ __main__ apps context_processors middleware models settings tasks".split()
    + "forms services tables urls views".split()
)
# Packages with a module of models or views for each subject, named after the subject.
PACKAGES_BY_SUBJECT = {"models", "views"}


def own_files() -> list[Path]:
    files = sources(*(CHECKOUT / name for name in PRODUCT))
    return [file for file in files if "migrations" not in file.parts]


def test_no_two_modules_have_the_same_name() -> None:
    names = Counter(file.stem for file in own_files() if file.parent.name not in PACKAGES_BY_SUBJECT)
    assert len(names) > 100, "or the test proves nothing"
    assert [name for name, count in names.items() if count > 1 and name not in RECURRING] == []


def test_no_two_classes_have_the_same_name() -> None:
    classes = Counter(
        node.name
        for file in own_files()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and node.name != "Command"
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_the_product_imports_no_tests() -> None:
    product = sources(*(CHECKOUT / name for name in PRODUCT))
    imported = {name.split(".")[0] for file in product for _, name in imports(file)}
    assert "django" in imported, "or the test proves nothing"
    assert imported & {"tests", "pytest"} == set()


def test_messages_are_written_in_one_place() -> None:
    writing = re.compile(r"\bMessage(\.objects\.(bulk_)?create|\()")
    writers = {
        str(file.relative_to(CHECKOUT))
        for file in sources(*(CHECKOUT / name for name in PRODUCT))
        if any(writing.search(line) for line in file.read_text().splitlines() if not line.startswith("class "))
    }
    assert writers == {"messenger/messages/posting.py"}


class InlineFinder(HTMLParser):
    """Finds what the Content-Security-Policy blocks: scripts and styles within the page."""

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
def test_inline_scripts_and_styles_are_found(template: str, count: int) -> None:
    assert len(InlineFinder(without_tags(template)).found) == count


def without_tags(template: str) -> str:
    """The template without Django's tags, because attributes may stand between them."""
    return re.sub(r"\{%.*?%\}|\{#.*?#\}|\{\{.*?\}\}", "", template, flags=re.DOTALL)


def test_no_template_contains_inline_scripts_or_styles() -> None:
    templates = sorted((CHECKOUT / "templates").rglob("*.html"))
    assert len(templates) > 20, "or the test proves nothing"
    offending = {
        str(file.relative_to(CHECKOUT)): found
        for file in templates
        if (found := InlineFinder(without_tags(file.read_text())).found)
    }
    assert offending == {}


def test_no_template_disables_escaping() -> None:
    unsafe = re.compile(r"\|\s*safe\b|autoescape off")
    offending = [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "templates").rglob("*.html"))
        if unsafe.search(file.read_text())
    ]
    assert offending == []


def test_no_template_loads_from_another_host() -> None:
    other_host = re.compile(r"""(src|href)\s*=\s*["']?(https?:)?//""")
    offending = [
        str(file.relative_to(CHECKOUT))
        for file in sorted((CHECKOUT / "templates").rglob("*.html"))
        if other_host.search(file.read_text())
    ]
    assert offending == []


VENDOR = CHECKOUT / "static" / "vendor"
OURS = {"CHECKSUMS", "README.md"}


def test_vendored_files_are_unchanged() -> None:
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
