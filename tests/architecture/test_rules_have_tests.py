"""Every numbered rule of the specification, and of what stands around the market, is named by a test that checks it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULE = re.compile(r"\b(?:P-\d\d|I-\d{1,2}|[VSA]-\d{1,2}b?)\b")
# The market's own, and those of companies (S), their arbiter (A) and vaults (V).
PAGES = ("docs/reference/specification.md", "docs/finance.md")
# `/// @notice …` lines right before a test or an invariant of forge.
SOLIDITY_TEST = re.compile(r"((?:^ *///.*\n)+) *function (?:test|invariant|check)\w*", re.MULTILINE)


def rules() -> list[str]:
    """The rules that these pages give a number to."""
    return sorted({rule for page in PAGES for rule in RULE.findall((ROOT / page).read_text())})


def sentences() -> Iterator[str]:
    """What each test says about itself, in Solidity and in Python."""
    for file in (ROOT / "tests").glob("**/*.sol"):
        yield from SOLIDITY_TEST.findall(file.read_text())
    for file in (ROOT / "tests").glob("**/test_*.py"):
        tree = ast.parse(file.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        yield from (ast.get_docstring(node) or "" for node in functions if node.name.startswith("test"))


@cache
def named() -> frozenset[str]:
    """The rules that tests name; looked up when it is needed, as all tests have to be read for it."""
    return frozenset(rule for sentence in sentences() for rule in RULE.findall(sentence))


@pytest.mark.parametrize("rule", rules())
def test_the_rule_has_a_test(rule: str) -> None:
    """A rule without a test is a wish."""
    assert rule in named()


def test_no_test_names_a_rule_that_there_is_not() -> None:
    """A test that checks a rule that was renumbered checks nothing that anybody can look up."""
    assert sorted(named() - set(rules())) == []
