"""The branching trees of the contracts' verbs, and the tests that prove their leaves: neither without the other.

A tree stands in tests/solidity/trees, or finance/trees. Its root is a function of a contract, its branches say `given` (a state) or `when` (a call), and each leaf says
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
# What is not about one verb: other contracts, libraries, random sequences, and costs. Folders (attacks, …) are not looked at either.
NOT_OF_A_VERB = ("Catalogue", "TestDollar", "Libraries", "Twins", "Gas", "Invariant", "Crowd", "Violations")


@dataclass(frozen=True)
class Subject:
    """A contract whose verbs have trees."""

    name: str
    interface: str
    code: tuple[str, ...]
    """Its source, and those of the libraries whose outcomes it declares; globs below contracts/."""
    trees: str
    tests: tuple[str, ...]
    """Where its tests are; globs below tests/solidity."""
    members: bool = False
    """Whether the code that it calls after a dot is its own: a library's."""
    more: str = "(none)"
    """Other interfaces of its own; a glob below contracts/."""
    inherited: tuple[str, ...] = ()
    """Functions that a library of others has the tests of."""

    @property
    def functions(self) -> dict[str, str]:
        """Which functions it has, and whether they change anything."""
        abi = json.loads((ROOT / f"marketplace/chain/abi/{self.name}.json").read_text())["abi"]
        functions = {item["name"]: item["stateMutability"] for item in abi if item["type"] == "function"}
        return {name: kind for name, kind in functions.items() if name not in self.inherited}

    @property
    def verbs(self) -> list[str]:
        return sorted(name for name, kind in self.functions.items() if kind == "nonpayable")

    @property
    def tree_files(self) -> list[Path]:
        return sorted((TESTS / self.trees).glob("*.tree"))

    @property
    def test_files(self) -> list[Path]:
        files = [file for glob in self.tests for file in TESTS.glob(glob)]
        return [file for file in files if not file.stem.startswith(NOT_OF_A_VERB)]


MARKET = Subject(
    "ComputeMarket", "interfaces/IComputeMarket.sol", ("ComputeMarket.sol", "libraries/*.sol"), "trees", ("*.t.sol",), members=True
)  # fmt: skip
SUBJECTS = (
    MARKET,
    Subject(
        "ProviderSpv",
        "finance/interfaces/IProviderSpv.sol",
        ("finance/ProviderSpv.sol",),
        "finance/trees/ProviderSpv",
        ("finance/Spv.t.sol", "finance/SpvPledge.t.sol", "finance/SpvFloor.t.sol"),
    ),
    Subject(
        "SpvFactory",
        "finance/interfaces/ISpvFactory.sol",
        ("finance/SpvFactory.sol",),
        "finance/trees/SpvFactory",
        ("finance/SpvFactory.t.sol",),
    ),
    Subject(
        "BackstopArbiter",
        "finance/interfaces/IBackstopArbiter.sol",
        ("finance/BackstopArbiter.sol",),
        "finance/trees/BackstopArbiter",
        ("finance/BackstopArbiter.t.sol",),
    ),
    Subject(
        "AdvanceVault",
        "finance/interfaces/IAdvanceVault.sol",
        ("finance/AdvanceRules.sol", "finance/VaultShares.sol", "finance/AdvanceVault.sol", "finance/libraries/*.sol"),
        "finance/trees/AdvanceVault",
        ("finance/Vault*.t.sol",),
        members=True,
        more="finance/interfaces/IERC7540.sol",
        inherited=(
            "allowance",
            "approve",
            "asset",
            "balanceOf",
            "convertToAssets",
            "convertToShares",
            "name",
            "previewDeposit",
            "previewMint",
            "symbol",
            "totalSupply",
            "transfer",
            "transferFrom",
        ),
    ),
)
TREES = [file for subject in SUBJECTS for file in subject.tree_files]
VERBS = [(subject, verb) for subject in SUBJECTS for verb in subject.verbs]
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


def roots_by_file(subject: Subject) -> dict[str, list[Node]]:
    """Every tree of a contract, by the name of its file."""
    return {file.stem: parse(file.read_text()) for file in subject.tree_files}


def leaves_by_function(subject: Subject) -> dict[str, list[str]]:
    """What each function of a contract should do."""
    return {root.text: list(root.leaves()) for roots in roots_by_file(subject).values() for root in roots}


def named_by_leaves(subject: Subject) -> set[str]:
    """Contract.test of every leaf."""
    matches = [LEAF.fullmatch(leaf) for leaves in leaves_by_function(subject).values() for leaf in leaves]
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


def bodies_of_functions(subject: Subject) -> dict[str, str]:
    """The code of each function of a contract and its libraries; of functions of one name, together."""
    bodies: dict[str, str] = {}
    for file in [file for glob in subject.code for file in (ROOT / "contracts").glob(glob)]:
        for name, body in re.findall(
            r"function (\w+)\((.*?)(?=\n    function |\nlibrary |\ncontract |\Z)",
            without_comments(file.read_text()),
            re.DOTALL,
        ):
            bodies[name] = bodies.get(name, "") + body
    return bodies


def code_reached_from(verb: str, bodies: dict[str, str], *, members: bool) -> str:
    """The code of a verb and of all that it calls, and so on."""
    call = r"\b(\w+)\(" if members else r"(?<![.\w])(\w+)\("
    reached: dict[str, str] = {}
    waiting = [verb]
    while waiting:
        name = waiting.pop()
        reached[name] = bodies[name]
        called = set(re.findall(call, bodies[name])) & bodies.keys()
        waiting += called - reached.keys()
    return "\n".join(reached.values())


def names_of_outcomes(subject: Subject) -> set[str]:
    """Every error, refusal and event of an interface."""
    interfaces = [ROOT / "contracts" / subject.interface, *(ROOT / "contracts").glob(subject.more)]
    source = without_comments("\n".join(file.read_text() for file in interfaces))
    refusals = re.search(r"enum Refusal \{(.*?)\}", source, re.DOTALL)
    names = {*re.findall(r"\b(?:error|event) (\w+)", source), *re.findall(r"\w+", refusals[1] if refusals else "")}
    return {name for name in names if name != "None" and not name.startswith("Reserved")}


def is_named(outcome: str, code: str) -> bool:
    """Whether code comes to it; a state may have the same name."""
    return re.search(rf"(?<!State\.)\b{outcome}\b", code) is not None


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


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_function_has_a_tree(subject: Subject) -> None:
    """Each verb has a file of its own; the views share one."""
    views = sorted(name for name in subject.functions if name not in subject.verbs)
    found = {name: sorted(root.text for root in roots) for name, roots in roots_by_file(subject).items()}

    assert found == {verb: [verb] for verb in subject.verbs} | {"views": views}


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_leaf_names_a_test(subject: Subject) -> None:
    """Nothing is promised without proof."""
    files = [*TESTS.glob("*.t.sol"), *TESTS.glob("finance/*.t.sol")]
    existing = {test for file in files for test in functions_of(file)}

    assert sorted(named_by_leaves(subject) - existing) == []


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_test_is_named_by_a_leaf(subject: Subject) -> None:
    """Nothing is proved that no tree promises."""
    tests = {test for file in subject.test_files for test in functions_of(file)}

    assert tests
    assert sorted(tests - named_by_leaves(subject)) == []


@pytest.mark.parametrize(("subject", "verb"), VERBS, ids=[f"{subject.name}-{verb}" for subject, verb in VERBS])
def test_every_outcome_of_a_verb_has_a_leaf(subject: Subject, verb: str) -> None:
    """Each error, refusal and event in the code that a verb reaches is promised by a leaf of its tree."""
    code = code_reached_from(verb, bodies_of_functions(subject), members=subject.members)
    outcomes = {name for name in names_of_outcomes(subject) if is_named(name, code)}
    promised = {word for leaf in leaves_by_function(subject)[verb] for word in re.findall(r"\w+", leaf.split("→")[0])}

    assert outcomes
    assert sorted(outcomes - promised) == []


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_every_outcome_is_one_of_a_verb(subject: Subject) -> None:
    """The interface declares no error, refusal or event that nothing comes to."""
    bodies = bodies_of_functions(subject)
    made = (
        without_comments((ROOT / "contracts" / subject.code[0]).read_text()).split("constructor(")[1].split("}\n\n")[0]
    )
    called = {name for name in bodies if name in subject.functions or f"{name}(" in made}
    code = made + "\n".join(code_reached_from(name, bodies, members=subject.members) for name in sorted(called))

    assert sorted(name for name in names_of_outcomes(subject) if not is_named(name, code)) == []
