"""The branching trees of the contract's verbs, and the tests that prove their leaves: neither without the other.

A tree stands in tests/solidity/trees. Its root is a function of the market, its branches say `given` (a state) or `when` (a call), and each leaf says
what it should do and which test proves it: `it should revert with NotOpen → ExitsTest.testDeclineOfALeaseThatIsNotOpenReverts`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests/solidity"
TREES = sorted((TESTS / "trees").glob("*.tree"))
INTERFACE = ROOT / "contracts/interfaces/IComputeMarket.sol"
ABI = json.loads((ROOT / "marketplace/chain/abi/ComputeMarket.json").read_text())["abi"]
FUNCTIONS = {item["name"]: item["stateMutability"] for item in ABI if item["type"] == "function"}
VERBS = sorted(name for name, kind in FUNCTIONS.items() if kind == "nonpayable")
# What is not about one verb: other contracts, libraries, random sequences, and costs. Folders (attacks, …) are not looked at either.
NOT_OF_A_VERB = ("Catalogue", "TestDollar", "Libraries", "Twins", "Gas", "Invariant", "Crowd", "Violations")
LEAF = re.compile(r"it should .+ → (?P<test>[A-Za-z0-9]+\.test[A-Za-z0-9]+)")
BRANCH = re.compile(r"(given|when) .+")


@dataclass
class Node:
    """A line of a tree, and what hangs on it."""

    text: str
    children: list[Node] = field(default_factory=list)

    def leaves(self) -> Iterator[str]:
        """The lines below that nothing hangs on."""
        for child in self.children:
            yield from child.leaves() if child.children else [child.text]

    def branches(self) -> Iterator[str]:
        """The lines below that something hangs on."""
        for child in self.children:
            if child.children:
                yield child.text
                yield from child.branches()


def parse(text: str) -> list[Node]:
    """The trees of a file; they are told apart by lines without a branch."""
    roots: list[Node] = []
    open_nodes: list[Node] = []
    for line in filter(None, text.splitlines()):
        drawing = re.match(r"(?:(?:│   |    )*[├└]── )?", line)
        assert drawing is not None
        depth = len(drawing[0]) // 4
        assert depth <= len(open_nodes), f"hangs on nothing: {line}"
        node = Node(line[len(drawing[0]) :])
        (open_nodes[depth - 1].children if depth else roots).append(node)
        open_nodes[depth:] = [node]
    return roots


def draw(nodes: list[Node], indent: str = "") -> Iterator[str]:
    """What `parse` reads, below a root."""
    for node in nodes:
        is_last = node is nodes[-1]
        yield f"{indent}{'└' if is_last else '├'}── {node.text}"
        yield from draw(node.children, indent + ("    " if is_last else "│   "))


def roots_by_file() -> dict[str, list[Node]]:
    """Every tree, by the name of its file."""
    return {file.stem: parse(file.read_text()) for file in TREES}


def leaves_by_function() -> dict[str, list[str]]:
    """What each function of the market should do."""
    return {root.text: list(root.leaves()) for roots in roots_by_file().values() for root in roots}


def named_by_leaves() -> set[str]:
    """Contract.test of every leaf."""
    matches = [LEAF.fullmatch(leaf) for leaves in leaves_by_function().values() for leaf in leaves]
    return {match["test"] for match in matches if match}


def functions_of(file: Path) -> set[str]:
    """Contract.test of every test function in a file."""
    source = without_comments(file.read_text())
    parts = re.split(r"^(?:abstract )?contract (\w+)", source, flags=re.MULTILINE)
    return {
        f"{contract}.{test}"
        for contract, body in zip(parts[1::2], parts[2::2], strict=True)
        for test in re.findall(r"function (test\w+)", body)
    }


def without_comments(source: str) -> str:
    """Solidity that says nothing but what it does."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", source, flags=re.DOTALL)


def bodies_of_functions() -> dict[str, str]:
    """The code of each function of the market and its libraries; of functions of one name, together."""
    bodies: dict[str, str] = {}
    for file in [ROOT / "contracts/ComputeMarket.sol", *(ROOT / "contracts/libraries").glob("*.sol")]:
        for name, body in re.findall(
            r"function (\w+)\((.*?)(?=\n    function |\nlibrary |\ncontract |\Z)",
            without_comments(file.read_text()),
            re.DOTALL,
        ):
            bodies[name] = bodies.get(name, "") + body
    return bodies


def code_reached_from(verb: str, bodies: dict[str, str]) -> str:
    """The code of a verb and of all that it calls, and so on."""
    reached: dict[str, str] = {}
    waiting = [verb]
    while waiting:
        name = waiting.pop()
        reached[name] = bodies[name]
        called = set(re.findall(r"\b(\w+)\(", bodies[name])) & bodies.keys()
        waiting += called - reached.keys()
    return "\n".join(reached.values())


def names_of_outcomes() -> set[str]:
    """Every error, refusal and event of the interface."""
    source = without_comments(INTERFACE.read_text())
    refusals = re.search(r"enum Refusal \{(.*?)\}", source, re.DOTALL)
    assert refusals is not None
    names = {*re.findall(r"\b(?:error|event) (\w+)", source), *re.findall(r"\w+", refusals[1])}
    return {name for name in names if name != "None" and not name.startswith("Reserved")}


@pytest.mark.parametrize("file", TREES, ids=lambda file: file.stem)
def test_every_tree_is_drawn_as_it_reads(file: Path) -> None:
    """Indentation and branch characters say the same: drawn again, a tree is what it was."""
    roots = parse(file.read_text())

    assert file.read_text() == "\n".join("\n".join([root.text, *draw(root.children), ""]) for root in roots)


@pytest.mark.parametrize("file", TREES, ids=lambda file: file.stem)
def test_branches_and_leaves_say_what_they_are(file: Path) -> None:
    """A branch is a state or a call, a leaf is an outcome with its proof."""
    roots = parse(file.read_text())

    assert all(root.children for root in roots)
    assert [text for root in roots for text in root.branches() if not BRANCH.fullmatch(text)] == []
    assert [text for root in roots for text in root.leaves() if not LEAF.fullmatch(text)] == []


def test_every_function_of_the_market_has_a_tree() -> None:
    """Each verb has a file of its own; the views share one."""
    views = sorted(name for name in FUNCTIONS if name not in VERBS)
    found = {name: sorted(root.text for root in roots) for name, roots in roots_by_file().items()}

    assert found == {verb: [verb] for verb in VERBS} | {"views": views}


def test_every_leaf_names_a_test() -> None:
    """Nothing is promised without proof."""
    existing = {test for file in TESTS.glob("*.t.sol") for test in functions_of(file)}

    assert sorted(named_by_leaves() - existing) == []


def test_every_test_is_named_by_a_leaf() -> None:
    """Nothing is proved that no tree promises."""
    files = [file for file in TESTS.glob("*.t.sol") if not file.stem.startswith(NOT_OF_A_VERB)]
    tests = {test for file in files for test in functions_of(file)}

    assert tests
    assert sorted(tests - named_by_leaves()) == []


@pytest.mark.parametrize("verb", VERBS)
def test_every_outcome_of_a_verb_has_a_leaf(verb: str) -> None:
    """Each error, refusal and event in the code that a verb reaches is promised by a leaf of its tree."""
    code = code_reached_from(verb, bodies_of_functions())
    outcomes = {name for name in names_of_outcomes() if re.search(rf"\b{name}\b", code)}
    promised = {word for leaf in leaves_by_function()[verb] for word in re.findall(r"\w+", leaf.split("→")[0])}

    assert outcomes
    assert sorted(outcomes - promised) == []


def test_every_outcome_is_one_of_a_verb() -> None:
    """The interface declares no error, refusal or event that nothing comes to."""
    bodies = bodies_of_functions()
    code = "\n".join(code_reached_from(verb, bodies) for verb in VERBS)

    assert sorted(name for name in names_of_outcomes() if not re.search(rf"\b{name}\b", code)) == []
