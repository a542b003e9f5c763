"""Who reads the ABI in a wallet, or on an explorer, is told what every call, event and error means, and each of its fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import solcx

from marketplace.chain.compiler import CONTRACTS, PROJECT_ROOT, solc_path

Tree = Mapping[str, Any]
OURS = "contracts/"
DECLARATIONS = {"FunctionDefinition", "EventDefinition", "ErrorDefinition"}
KINDS = {"function": "methods", "event": "events", "error": "errors", "constructor": "methods"}


@pytest.fixture(scope="module")
def compiled() -> Tree:
    """What the compiler says of the sources without making any code, which is what takes long."""
    files = CONTRACTS.values()
    asked = {
        "language": "Solidity",
        "sources": {file: {"content": (PROJECT_ROOT / file).read_text(encoding="utf-8")} for file in files},
        "settings": {
            "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
            "outputSelection": {"*": {"": ["ast"], "*": ["abi", "devdoc", "userdoc"]}},
        },
    }
    return dict(solcx.compile_standard(asked, solc_binary=solc_path(), base_path=PROJECT_ROOT))


def test_every_call_event_and_error_says_what_it_means(compiled: Tree) -> None:
    """Each that stands in contracts/ has a notice, and a line for every parameter and every value that it returns."""
    missing = [
        f"{name}.{entry.get('name', 'constructor')}: {gap}"
        for name, contract in contracts_of(compiled)
        for entry in contract["abi"]
        if entry["type"] in KINDS and entry.get("name", "constructor") in declared(name, compiled)
        for gap in gaps(entry, contract)
    ]

    assert missing == []


def test_what_is_looked_at_is_all_there_is(compiled: Tree) -> None:
    """Verbs, events and errors are looked for where they are called, in the market too, but not what a library of others says of its own."""
    looked_at = {name: declared(name, compiled) for name, _ in contracts_of(compiled)}

    assert {"deposit", "LeaseOpened", "ZeroAccount", "BOND_FLOOR", "constructor"} <= looked_at["ComputeMarket"]
    assert {"append", "owner", "ClassUnknown", "ClassAppended"} <= looked_at["GpuCatalogue"]
    assert looked_at["IReceiveWithAuthorization"] == {"receiveWithAuthorization", "constructor"}
    assert {"pledge", "claimDue", "SLACK", "BelowFloor", "Pledged", "constructor"} <= looked_at["ProviderSpv"]
    assert looked_at["TestDollar"] == {"decimals", "mint", "constructor"}
    assert "eip712Domain" not in looked_at["ComputeMarket"]


def contracts_of(compiled: Tree) -> Iterator[tuple[str, Tree]]:
    for source, contracts in compiled["contracts"].items():
        if source.startswith(OURS):
            yield from contracts.items()


def declared(name: str, compiled: Tree) -> set[str]:
    """What a contract, or one that it is made of, declares in contracts/: not what it has of a library of others."""
    ours = [
        node
        for source, found in compiled["sources"].items()
        if source.startswith(OURS)
        for node in found["ast"]["nodes"]
        if node["nodeType"] == "ContractDefinition"
    ]
    bases = next(node["linearizedBaseContracts"] for node in ours if node["name"] == name)
    parts = [part for node in ours if node["id"] in bases for part in node["nodes"] if is_reached(part)]
    return {"constructor"} | {part["name"] for part in parts if part["name"]}


def is_reached(part: Tree) -> bool:
    if part["nodeType"] == "VariableDeclaration":
        return bool(part["visibility"] == "public")
    return part["nodeType"] in DECLARATIONS and part.get("visibility", "public") in {"public", "external"}


def gaps(entry: Tree, contract: Tree) -> Iterator[str]:
    """What no line says of an ABI entry. An event or an error may be declared twice, so that the compiler lists its meanings."""
    said, told = (doc_of(entry, contract[doc]) for doc in ("devdoc", "userdoc"))
    if "notice" not in told and entry["type"] != "constructor":
        yield "no notice"
    yield from (f"no @param {put['name']}" for put in entry["inputs"] if put["name"] not in said.get("params", {}))
    returns = returns_of(entry, said, contract["devdoc"])
    for number, out in enumerate(entry.get("outputs", ())):
        if (out["name"] or f"_{number}") not in returns:
            yield f"no @return {out['name'] or number}"


def doc_of(entry: Tree, doc: Tree) -> Tree:
    found = doc.get(KINDS[entry["type"]], {}).get(signature(entry), {})
    return dict(found[0] if isinstance(found, list) else found)


def returns_of(entry: Tree, said: Tree, devdoc: Tree) -> Tree:
    variable = devdoc.get("stateVariables", {}).get(entry.get("name"), {})
    return dict(said.get("returns", {}) | variable.get("returns", {}))


def signature(entry: Tree) -> str:
    if entry["type"] == "constructor":
        return "constructor"
    return f"{entry['name']}({','.join(canonical(put) for put in entry['inputs'])})"


def canonical(put: Tree) -> str:
    """The type as selectors have it: a struct is its fields."""
    if not put["type"].startswith("tuple"):
        return str(put["type"])
    return f"({','.join(canonical(field) for field in put['components'])}){put['type'][len('tuple') :]}"
