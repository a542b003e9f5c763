"""The committed ABI and bytecode are what the sources give, with either toolchain."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import solcx

from marketplace.chain.compiler import (
    ABI_FOLDER,
    CONTRACTS,
    OPTIMIZER_RUNS,
    PROJECT_ROOT,
    SMALL,
    SMALL_RUNS,
    SOLC_VERSION,
    VerificationInput,
    compile_contracts,
    solc_path,
    verification_input,
    write_artifacts,
)
from marketplace.domain.errors import ToolMissing

FORGE = PROJECT_ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"


def test_committed_artifacts_are_fresh(tmp_path: Path) -> None:
    """Whoever changes a contract commits what scripts/compile_contracts.py writes."""
    written = write_artifacts(compile_contracts(), tmp_path)

    assert [path.stem for path in written] == list(CONTRACTS)
    for path in written:
        committed = (ABI_FOLDER / path.name).read_text(encoding="utf-8")
        assert committed == path.read_text(encoding="utf-8"), f"{path.stem} is stale: run scripts/compile_contracts.py"


def test_explorers_are_given_all_that_makes_the_code(tmp_path: Path) -> None:
    """In an empty folder the standard JSON gives the very metadata, which has the hash of each source and every setting of this build."""
    for runs in (OPTIMIZER_RUNS, SMALL_RUNS):
        _require_metadata(verification_input(runs=runs), runs, tmp_path)


def _require_metadata(found: VerificationInput, runs: int, empty: Path) -> None:
    settings = found.standard_json["settings"]
    cheap = {**found.standard_json, "settings": settings | {"outputSelection": {"*": {"*": ["metadata"]}}}}
    output = solcx.compile_standard(cheap, solc_binary=solc_path(), base_path=empty)

    assert found.compiler.startswith(f"v{SOLC_VERSION}+commit.")
    assert {"evm.deployedBytecode", "metadata"} <= set(settings["outputSelection"]["*"]["*"])
    told_of = {name: file for name, file in CONTRACTS.items() if (name in SMALL) == (runs == SMALL_RUNS)}
    assert len(found.metadata_hashes) == len(told_of)
    for name, file in told_of.items():
        metadata = output["contracts"][file][name]["metadata"]
        told = found.metadata_hashes[f"{file}:{name}"]
        assert told == "0x" + hashlib.sha256(metadata.encode()).hexdigest()


def test_forge_gives_the_same_bytecode() -> None:
    """What the contract tests test is what is deployed."""
    subprocess.run([FORGE, "build", "contracts"], cwd=PROJECT_ROOT, check=True, capture_output=True)

    for name in CONTRACTS:
        built = json.loads((PROJECT_ROOT / "out" / f"{name}.sol" / f"{name}.json").read_text(encoding="utf-8"))
        committed = json.loads((ABI_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        assert built["bytecode"]["object"] == committed["bytecode"], name
        assert built["deployedBytecode"]["object"] == committed["deployedBytecode"], name


def test_the_market_fits_into_a_contract() -> None:
    """EIP-170 and EIP-3860: at most 24,576 bytes of code, and with 40 words of arguments 49,152 that make it."""
    for name in CONTRACTS:
        committed = json.loads((ABI_FOLDER / f"{name}.json").read_text(encoding="utf-8"))

        assert len(bytes.fromhex(committed["deployedBytecode"][2:])) <= 24_576, name
        assert len(bytes.fromhex(committed["bytecode"][2:])) + 40 * 32 <= 49_152, name


def test_another_native_compiler_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A native solc is used only if it is exactly the pinned version."""
    native = tmp_path / "solc"
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('node') or '/usr/bin/node').parent}:/usr/bin:/bin")

    for version, is_used in ((SOLC_VERSION, True), ("0.8.36", False), (f"{SOLC_VERSION}0", False)):
        native.write_text(f"#!/bin/sh\necho 'Version: {version}+commit.0'\n", encoding="utf-8")
        native.chmod(0o755)

        assert (solc_path() == native) is is_used, version


def test_a_missing_compiler_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before set-up there is no compiler, and the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolMissing, match="make setup"):
        solc_path(tmp_path)
