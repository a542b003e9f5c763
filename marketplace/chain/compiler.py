"""Compile the contracts, and keep what the rest of the project knows of them: ABI and bytecode.

The compiler is pinned. A native `solc` on PATH is used only if it is exactly that version; else the npm package behind `scripts/solc` is.
Both give the same bytecode, and so does forge, which reads the same settings from `foundry.toml`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import solcx

from marketplace.domain.errors import ToolMissing

SOLC_VERSION = "0.8.37"
EVM_VERSION = "cancun"
OPTIMIZER_RUNS = 1_000_000
SMALL_RUNS = 200
"""For what would otherwise not fit into a contract."""
VIA_IR = True
CONTRACTS = {
    "ComputeMarket": "contracts/ComputeMarket.sol",
    "GpuCatalogue": "contracts/GpuCatalogue.sol",
    "TestDollar": "contracts/TestDollar.sol",
    "ProviderSpv": "contracts/finance/ProviderSpv.sol",
    "SpvFactory": "contracts/finance/SpvFactory.sol",
    "BackstopArbiter": "contracts/finance/BackstopArbiter.sol",
    "AdvanceRules": "contracts/finance/AdvanceRules.sol",
    "AdvanceVault": "contracts/finance/AdvanceVault.sol",
}
"""Where each contract that is deployed stands."""
SMALL = ("AdvanceRules", "AdvanceVault")
"""Those compiled with `SMALL_RUNS`."""

PROJECT_ROOT = Path(__file__).resolve().parents[2]
ABI_FOLDER = Path(__file__).resolve().parent / "abi"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract, as its file under `abi/` says it."""

    contract_name: str
    compiler: str
    abi: list[dict[str, Any]]
    bytecode: str
    deployed_bytecode: str
    immutables: dict[str, list[list[int]]]
    """Where the deployed code holds each immutable: pairs of offset and length, in bytes. It is zero there until the constructor has run."""

    def to_json(self) -> str:
        """Write it so that equal contracts give equal files, line by line."""
        fields = {
            "contractName": self.contract_name,
            "compiler": self.compiler,
            "abi": self.abi,
            "bytecode": self.bytecode,
            "deployedBytecode": self.deployed_bytecode,
            "immutables": self.immutables,
        }
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"


def solc_path(root: Path = PROJECT_ROOT) -> Path:
    """Find the pinned compiler: native if it is exactly that version, else the npm one."""
    native = shutil.which("solc")
    if native is not None and _is_pinned(native):
        return Path(native)
    if not (root / "node_modules" / "solc").is_dir():
        raise ToolMissing(f"solc {SOLC_VERSION}", "run `make setup`, which installs it from npm")
    return root / "scripts" / "solc"


def compile_contracts(root: Path = PROJECT_ROOT) -> tuple[Artifact, ...]:
    """Compile the contracts of the project at `root`, in the order of `CONTRACTS`."""
    large, small = (
        solcx.compile_standard(_standard_input(root, runs), solc_binary=solc_path(root), base_path=root)
        for runs in (OPTIMIZER_RUNS, SMALL_RUNS)
    )
    return tuple(_artifact(name, small if name in SMALL else large) for name in CONTRACTS)


@dataclass(frozen=True)
class VerificationInput:
    """What an explorer needs to make the deployed code from its sources by itself."""

    standard_json: dict[str, Any]
    """The compiler's whole input, every source in it."""
    compiler: str
    """As explorers list it: with the commit."""
    metadata_hashes: dict[str, str]
    """sha256 of each contract's metadata, by ``file:contract``. The code itself ends without one: it changes only when the code does."""


def verification_input(root: Path = PROJECT_ROOT, *, runs: int = OPTIMIZER_RUNS) -> VerificationInput:
    """The input of this very build, of the contracts that are compiled with so many runs. Raises ToolMissing."""
    asked = _standard_input(root, runs)
    wanted = {**asked["settings"], "outputSelection": {"*": {"*": ["metadata"]}}}
    output = solcx.compile_standard(asked | {"settings": wanted}, solc_binary=solc_path(root), base_path=root)
    told = {f"{file}:{name}": _metadata(name, output) for name, file in _built_with(runs).items()}
    read = {name: json.loads(metadata) for name, metadata in told.items()}
    names = sorted({name for metadata in read.values() for name in metadata["sources"]})
    sources = {name: {"content": (root / name).read_text(encoding="utf-8")} for name in names}
    selection = {"*": {"*": ["abi", "metadata", "evm.bytecode", "evm.deployedBytecode"]}}
    return VerificationInput(
        asked | {"sources": sources, "settings": asked["settings"] | {"outputSelection": selection}},
        "v" + next(iter(read.values()))["compiler"]["version"],
        {name: "0x" + hashlib.sha256(metadata.encode()).hexdigest() for name, metadata in told.items()},
    )


def _metadata(name: str, output: Mapping[str, Any]) -> str:
    return str(output["contracts"][CONTRACTS[name]][name]["metadata"])


def write_artifacts(artifacts: tuple[Artifact, ...], folder: Path = ABI_FOLDER) -> tuple[Path, ...]:
    """Write one file per contract and return where."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for artifact in artifacts:
        path = folder / f"{artifact.contract_name}.json"
        path.write_text(artifact.to_json(), encoding="utf-8")
        written.append(path)
    return tuple(written)


def _built_with(runs: int) -> dict[str, str]:
    return {name: file for name, file in CONTRACTS.items() if (name in SMALL) == (runs == SMALL_RUNS)}


def _standard_input(root: Path, runs: int) -> dict[str, Any]:
    # The names of the sources, and so the imports, are relative to the root: the bytecode does not depend on where the project lies.
    return {
        "language": "Solidity",
        "sources": {
            file: {"content": (root / file).read_text(encoding="utf-8")} for file in _built_with(runs).values()
        },
        "settings": {
            "remappings": ["@openzeppelin/=node_modules/@openzeppelin/"],
            "optimizer": {"enabled": True, "runs": runs},
            "viaIR": VIA_IR,
            "evmVersion": EVM_VERSION,
            # Without the hash of the sources in it, the bytecode changes only when the code does.
            "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
            "outputSelection": {"*": {"": ["ast"], "*": _OUTPUTS}},
        },
    }


_OUTPUTS = [
    "abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences",
]  # fmt: skip


def _artifact(name: str, output: Mapping[str, Any]) -> Artifact:
    compiled = output["contracts"][CONTRACTS[name]][name]
    return Artifact(
        contract_name=name,
        compiler=SOLC_VERSION,
        abi=compiled["abi"],
        bytecode="0x" + compiled["evm"]["bytecode"]["object"],
        deployed_bytecode="0x" + compiled["evm"]["deployedBytecode"]["object"],
        immutables=_immutables(compiled["evm"]["deployedBytecode"]["immutableReferences"], output["sources"]),
    )


def _immutables(references: Mapping[str, Any], sources: Mapping[str, Any]) -> dict[str, list[list[int]]]:
    """The compiler tells places by the numbers of the variables' declarations; their names stand in the syntax tree."""
    names = {node["id"]: node["name"] for source in sources.values() for node in _declarations(source["ast"])}
    return {names[int(number)]: [[at["start"], at["length"]] for at in places] for number, places in references.items()}


def _declarations(node: Any) -> Iterator[Mapping[str, Any]]:
    """The declarations of contracts' variables."""
    if node.get("nodeType") == "VariableDeclaration":
        yield node
    for part in node.get("nodes", ()):
        yield from _declarations(part)


def _is_pinned(binary: str) -> bool:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False)
    return f"Version: {SOLC_VERSION}+" in answer.stdout
