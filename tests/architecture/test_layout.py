"""ARCHITECTURE's layout is the tree, and what documents name of it exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import typer

from marketplace.cli.main import app
from marketplace.cli.outcomes import ExitCode
from tests.architecture.test_documents import PAGES, ROOT, TREE

LAYOUT = (ROOT / "ARCHITECTURE.md").read_text().split("## Layout")[1].split("```")[1]
PACKAGES = ("contracts", "marketplace", "scheduler")
# Where a path that a sentence names may begin: `chain/checksums` is marketplace/chain/checksums.py.
STARTS = ("", "marketplace", "scheduler", "contracts", "tests", "tests/integration", "tests/unit")
# `client/mandate`, `scheduler/ray_auction`, `store/lua/undo.lua`: lower case, with a slash, and no part of a URL or of a job's folders.
NAMED_PATH = re.compile(r"`((?:[a-z][\w.-]*/)+[\w.-]*)`")
# What an agent makes in its home, and media types.
NOT_OURS = re.compile(r"jobs/|logs/|text/|application/|\w/")


def layout() -> Iterator[tuple[Path, list[str]]]:
    """Each place that the layout names, with the modules where reading begins."""
    above = ROOT
    for line in filter(None, LAYOUT.splitlines()):
        name = line.split()[0]
        above = ROOT if not line.startswith(" ") else above
        place = above / name
        if not line.startswith(" "):
            above = place
        yield place, line.split("→")[1].split() if "→" in line else []


def packages() -> set[Path]:
    """Folders that hold files of the contracts, the market or the scheduler; and what else stands at the top."""
    inner = {path.parent for path in TREE if path.relative_to(ROOT).parts[0] in PACKAGES}
    top = {ROOT / path.relative_to(ROOT).parts[0] for path in TREE if len(path.relative_to(ROOT).parts) > 1}
    return inner | {folder for folder in top if not folder.name.startswith(".")}


def loose_modules() -> set[Path]:
    """Files right below a package's top: each does something of its own."""
    folders = [ROOT / name for name in PACKAGES]
    return {path for path in TREE if path.parent in folders and path.stem != "__init__" and path.name != "py.typed"}


def test_the_layout_names_what_there_is() -> None:
    """Each place in ARCHITECTURE's layout exists, and so does each module where it says that reading begins."""
    missing = [str(place.relative_to(ROOT)) for place, _ in layout() if not place.exists()]
    missing += [
        f"{place.name}/{module}"
        for place, modules in layout()
        for module in modules
        if not any((place / f"{module}{suffix}").exists() for suffix in (".py", ".sol"))
    ]

    assert missing == []


def test_the_layout_leaves_nothing_out() -> None:
    """Each package of the tree and each loose module has its line: whoever adds one says what it is for."""
    told = {place for place, _ in layout()}

    assert sorted(str(place.relative_to(ROOT)) for place in (packages() | loose_modules()) - told) == []


def test_paths_named_in_documents_exist() -> None:
    """A file or package that a sentence names in code font is there: a rename takes its documents along."""
    missing = [
        f"{page.relative_to(ROOT)}: {name}"
        for page in PAGES
        for name in NAMED_PATH.findall(page.read_text())
        if not NOT_OURS.match(name)
        and not any(
            (ROOT / start / f"{name.rstrip('/')}{suffix}").exists()
            for start in STARTS
            for suffix in ("", ".py", ".sol")
        )
    ]

    assert missing == []


def test_settings_are_those_that_are_read() -> None:
    """The table of settings has each variable that ``config.py`` reads, once."""
    source = (ROOT / "marketplace/config.py").read_text()
    read = re.findall(r"\b(?:text|path|count)\(\"([A-Z_]+)\"", source)
    rows = re.findall(r"^\| (`BOURSE_.*?) \|", (ROOT / "docs/reference/settings.md").read_text(), re.MULTILINE)
    told = [name for row in rows for name in re.findall(r"`BOURSE_(\w+)`", row)]

    assert sorted(told) == sorted(set(read))


def test_commands_and_exit_codes_are_those_that_there_are() -> None:
    """The page of the command line names each command and each exit code, once."""
    page = (ROOT / "docs/reference/command-line.md").read_text()
    first_cells = [cell for row in re.findall(r"^\| (.*?) \|", page, re.MULTILINE) for cell in row.split(" · ")]

    assert sorted(cell.strip("`") for cell in first_cells if cell.startswith("`")) == sorted(commands(app))
    assert [int(cell) for cell in first_cells if cell.isdigit()] == [code.value for code in ExitCode]


def commands(group: typer.Typer, before: str = "") -> Iterator[str]:
    """Every command of a group and of the groups in it, as it is typed."""
    for command in group.registered_commands:
        assert command.callback is not None
        yield before + (command.name or command.callback.__name__.replace("_", "-"))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{before}{inner.name} " if inner.name else before)
