"""Documents can be read, and what they name is there."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What git keeps or would keep: no environment, no node_modules, nothing made.
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.splitlines()  # fmt: skip
TREE = sorted(ROOT / name for name in LISTED if (ROOT / name).is_file())
PAGES = [path for path in TREE if path.suffix == ".md"]
CODE = [path for path in TREE if path.suffix in {".py", ".sol", ".lua", ".toml"} or path.name == "Makefile"]
LINK = re.compile(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)")
# A page named in a sentence or a comment: `docs/how-to/provider.md`; and a section of it that is named behind a comma.
NAMED_PAGE = re.compile(r"(?<![\w*/.-])((?:[\w.-]+/)*[\w.-]+\.md)\b")
NAMED_SECTION = re.compile(r'\b(docs/[\w/-]+\.md)`*, "?([A-Z][\w ]*)')


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines that are neither code nor a row of a table nor, alone on a line, a link that cannot be broken."""
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            is_code = not is_code
        elif not is_code and not line.lstrip().startswith("|"):
            yield number, line


def anchors(page: Path) -> set[str]:
    """What a link may point to within a page: its headings, as Markdown's viewers spell them."""
    headings = [line for _, line in prose(page.read_text()) if re.match(r"#{1,6} ", line)]
    words = [re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", heading.lstrip("#").strip()) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", word.lower()).replace(" ", "-") for word in words}


def test_no_line_of_prose_is_wider_than_a_page() -> None:
    """At most 120 characters, outside of tables and code."""
    wide = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in PAGES
        for number, line in prose(page.read_text())
        if len(line) > 120
    ]

    assert wide == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that exists, and a heading that stands in it."""
    links = [(target, anchor) for target, anchor in LINK.findall(page.read_text()) if "://" not in target]
    pages = [(page.parent / target if target else page, anchor) for target, anchor in links]
    broken = [
        f"{path.name}#{anchor}"
        for path, anchor in pages
        if not path.exists() or (anchor and anchor not in anchors(path))
    ]

    assert broken == []


def test_pages_named_in_code_exist() -> None:
    """A comment that sends its reader to a document says its path from the root, or its name if it is unmistakable."""
    stated = {str(path.relative_to(ROOT)) for path in PAGES} | {path.name for path in PAGES}
    missing = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in [*CODE, *PAGES]
        for name in NAMED_PAGE.findall(path.read_text())
        if name not in stated and not (path.parent / name).exists()
    ]

    assert missing == []


def test_sections_named_in_code_exist() -> None:
    """``docs/reference/specification.md, Shapes`` names a heading of that page."""
    named = [
        (path, page, section) for path in CODE for page, section in NAMED_SECTION.findall(path.read_text())
        if (ROOT / page).exists()
    ]  # fmt: skip

    assert named
    assert [
        f"{path.name}: {section}"
        for path, page, section in named
        if section.strip().lower().replace(" ", "-") not in anchors(ROOT / page)
    ] == []


def test_every_page_of_the_manual_is_in_its_index() -> None:
    """Whoever adds a page says in docs/README.md what it is good for."""
    index = ROOT / "docs/README.md"
    listed = {(index.parent / target).resolve() for target, _ in LINK.findall(index.read_text()) if target}
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {index}

    assert sorted(str(page.relative_to(ROOT)) for page in pages - listed) == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda page: page.stem)
def test_a_decision_says_what_was_refused(page: Path) -> None:
    """One page: context, decision, what was refused, consequences."""
    headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)

    assert headings == ["Context", "Decision", "Refused", "Consequences"]
    assert len(page.read_text().splitlines()) <= 60


def test_the_glossary_says_each_word_once() -> None:
    """Every shape and every role of the ABI is in the glossary, and nothing is there twice."""
    text = (ROOT / "docs/reference/glossary.md").read_text()
    words = [word for row in re.findall(r"^\| (.*?) \|", text, re.MULTILINE) for word in re.split(r" · |, or ", row)]
    told = set(words) - {"word", "---"}
    abi = json.loads((ROOT / "marketplace/chain/abi/ComputeMarket.json").read_text())["abi"]
    shapes = {name.lower() for name in re.findall(r'"struct (\w+)', json.dumps(abi))}
    roles = {field["name"] for entry in abi for field in entry.get("inputs", []) if field["type"] == "address"}
    # Whoever it is that calls, sends or is paid; and the token.
    anybody = {"by", "caller", "from", "owner", "sender", "to", "token", "settlementToken"}

    assert len(told) == len(words) - words.count("word") - words.count("---")
    assert shapes
    assert sorted((shapes | roles) - told - anybody) == []
