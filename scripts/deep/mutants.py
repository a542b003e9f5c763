"""Make the mutants of slither-mutate, without running them: as JSON, on stdout. Runs in slither's own environment.

slither-mutate itself cannot sample, cannot run two mutants at a time, and compiles each twice; and where one of its mutators stumbles over an expression,
it leaves out the whole contract. So its mutators are asked for their patches here, node by node, and `mutation.py` runs them.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slither import Slither
from slither.tools.mutator.mutators import all_mutators
from slither.tools.mutator.mutators.abstract_mutator import AbstractMutator


def main(root: Path, out_folder: str, contracts: list[str]) -> None:
    """Print every patch of every mutator for the named contracts of the project at `root`, each once."""
    slither = Slither(str(root), ignore_compile=True, foundry_out_directory=out_folder)
    patches = {
        json.dumps(patch, sort_keys=True): patch
        for unit in slither.compilation_units
        for contract in unit.contracts
        if contract.name in contracts
        for kind in mutators()
        for patch in patches_of(kind(unit, 0, "", "", contract, None, False, root, []), contract, root)
    }
    json.dump([patches[key] for key in sorted(patches)], sys.stdout)


def mutators() -> list[type[AbstractMutator]]:
    """All mutators that slither-mutate has."""
    found = [value for _, value in inspect.getmembers(all_mutators, inspect.isclass)]
    return [value for value in found if issubclass(value, AbstractMutator)]


def patches_of(mutator: AbstractMutator, contract: Any, root: Path) -> Iterator[dict[str, Any]]:
    """What one mutator would change in one contract."""
    for function in contract.functions_and_modifiers_declared:
        for node in function.nodes:
            for file, found in made_at(mutator, function, node).get("patches", {}).items():
                for patch in found:
                    yield {
                        "mutator": mutator.NAME,
                        "file": str(Path(file).relative_to(root)),
                        "line": patch["line_number"],
                        "start": patch["start"],
                        "end": patch["end"],
                        "old": text(patch["old_string"]),
                        "new": text(patch["new_string"]),
                    }


def made_at(mutator: AbstractMutator, function: Any, node: Any) -> dict[str, Any]:
    """What a mutator makes of one node; nothing, where it stumbles."""
    is_ours = mutator.contract.source_mapping.filename.absolute == node.source_mapping.filename.absolute
    mutator.should_mutate_function = lambda other: other is function
    mutator.should_mutate_node = lambda other: other is node and is_ours
    try:
        return dict(mutator._mutate())
    except (AttributeError, IndexError, TypeError, ValueError):
        return {}


def text(value: str | bytes) -> str:
    """Mutators give either."""
    return value.decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3:])
