"""One word, one meaning: a public class name stands for one thing in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
MOST_USED_TWICE = 40
"""May fall, and never rise: what is left is said over HTTP by a schema and a record of one name."""


def test_few_class_names_stand_for_two_things() -> None:
    """Public classes of ``marketplace`` and ``scheduler`` that are called alike are counted, and their number only falls."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in sorted([*ROOT.glob("marketplace/**/*.py"), *ROOT.glob("scheduler/**/*.py")]):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(file.relative_to(ROOT)))
    twice = {name: where for name, where in places.items() if len(where) > 1}

    assert len(twice) <= MOST_USED_TWICE, twice
