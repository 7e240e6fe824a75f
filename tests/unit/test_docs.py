"""The documents say what the code does."""

import re
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

import chat_app
from chat_app.api.app import create_api
from chat_app.config import Settings
from chat_app.generation.demo_directive import parse_directive

ROOT = Path(chat_app.__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

DEFAULTS = {name.upper(): field.default for name, field in Settings.model_fields.items()}


def written(default: object) -> str:
    """Return a default as it is written in the environment."""
    if isinstance(default, timedelta):
        return f"{default.total_seconds():.0f}"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None else str(default)


def section(title: str) -> str:
    """Return the README's section under a heading."""
    return README.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_the_configuration_table_names_every_setting_with_its_default() -> None:
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? ?\| .+ \|$", section("Configuration"), re.MULTILINE
    )

    assert dict(rows) == {name: written(default) for name, default in DEFAULTS.items()}
    assert [name for name, _ in rows] == list(DEFAULTS)


def test_the_example_file_names_every_setting_with_its_default() -> None:
    lines = re.findall(r"^# ([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert lines == [(name, written(default)) for name, default in DEFAULTS.items()]


def test_the_example_file_sets_nothing_by_itself() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == []


def test_the_defaults_can_be_written_as_they_are_documented() -> None:
    documented = {name.lower(): written(default) for name, default in DEFAULTS.items() if default}

    settings = Settings.model_validate(documented)

    assert {name.upper(): getattr(settings, name) for name in documented} == {
        name: default for name, default in DEFAULTS.items() if default
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if ":" not in target]

    broken = [target for target in targets if not leads_somewhere(target, document=document)]

    assert broken == []


def leads_somewhere(target: str, *, document: Path) -> bool:
    """Whether the file that a link names exists, and has the heading."""
    path, _, fragment = unquote(target).partition("#")
    file = document.parent / path if path else document
    return file.exists() and (not fragment or fragment in anchors(file.read_text()))


def anchors(text: str) -> Iterable[str]:
    """Return the URL fragments of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings]


def test_every_test_that_is_named_exists() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    named = set(re.findall(r"`(test_\w+)`", README))

    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_every_directive_that_is_shown_can_be_parsed() -> None:
    whole = re.findall(r"[`\"](/demo [^`\"]+)[`\"]", README)
    alone = re.findall(r"^\| `(\w+=\S+?)` \|", section("The demo model"), re.MULTILINE)
    shown = [*whole, *(f"/demo {directive}" for directive in [*alone, "rate=0"])]
    shown.remove("/demo help")

    directives = [parse_directive(text) for text in shown]

    assert len(alone) == 7
    assert [directive.problem for directive in directives if directive] == [None] * len(shown)


def test_the_table_of_routes_names_every_route() -> None:
    paths = create_api(max_body_bytes=1, allowed_origins=()).openapi()["paths"]
    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    named = re.findall(r"^\| `((?:GET|POST|PATCH|DELETE) \S+)` \|", README, re.MULTILINE)

    assert sorted(named) == sorted(routes)


def test_every_command_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()

    named = set(re.findall(r"`make (\w+)`|^make (\w+)", README, re.MULTILINE))

    assert named
    assert [name for name in map("".join, named) if f"\n{name}:" not in makefile] == []


@pytest.mark.parametrize("package", ["", "ui"], ids=["tour", "page"])
def test_every_file_of_the_tour_exists(package: str) -> None:
    folder = ROOT / "chat_app" / package
    tour = (folder / "__init__.py").read_text()

    named = re.findall(r"[\w/]+\.(?:py|lua|jsx?)\b", tour)

    assert named
    assert [name for name in named if not found(name, folder)] == []


def found(name: str, folder: Path) -> bool:
    """Whether the file exists in the folder or, as the tour abbreviates it, in `generation/`."""
    return (folder / name).exists() or (folder / "generation" / name).exists()
