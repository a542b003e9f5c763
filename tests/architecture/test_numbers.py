"""Numbers that people type are read by one strict reader."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_option_reads_numbers_by_itself() -> None:
    """A parser's own reader takes ``1_0`` and blanks: a number is an option of ``cli/numbers``."""
    found = [
        f"{file.name}:{node.lineno}"
        for file in sorted((ROOT / "marketplace/cli").glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated"
        for kind, option, *_ in [node.slice.elts if isinstance(node.slice, ast.Tuple) else [node, node]]
        if {"int", "float"} & set(ast.unparse(kind).split(" | ")) and ast.unparse(option).startswith("typer.")
    ]

    assert found == []
