"""Clients that others make from `/openapi.json`, in Python and in TypeScript: each does a whole job, and knows nothing of this package."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Network

ROOT = Path(__file__).parents[2]
CAST = ROOT / "node_modules/@foundry-rs/cast-linux-amd64/bin/cast"
TOOLS = ROOT / ".tools/clients/bin"
HERE = Path(__file__).parent / "strangers"
FAUCET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""anvil's first development key: for local chains only."""
DEPOSIT = 5_000_000
WORDS = "one two three two one two"
PROGRAM = """
from collections import Counter
found = Counter(open('/job/in/words.txt').read().split()).most_common(1)[0][0]
print('most often:', found)
open('/job/out/most.txt', 'w').write(found)
"""
COMMAND = ("python", "-c", PROGRAM)


def run(*command: object, told: str = "", cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """What a program says; it gets no environment but where programs are."""
    here = {"PATH": f"{TOOLS}:/usr/local/bin:/usr/bin:/bin", "HOME": str(cwd or ROOT), **(env or {})}
    done = subprocess.run(
        [str(word) for word in command], input=told, capture_output=True, text=True, timeout=200, cwd=cwd, env=here
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


class GasFunds:
    """A key that the market has never seen, with money in it."""

    def __init__(self, network: Network, key: str) -> None:
        self.key, self.rpc = key, network.settings["rpc_urls"]
        market = httpx.get(network.settings["gateway_url"] + "/v1/market", trust_env=False).json()
        self.market, token = market["market"], market["token"]["address"]
        self.address = run(CAST, "wallet", "address", "--private-key", key)
        self._send(FAUCET, self.address, "--value", "1ether")
        self._send(FAUCET, token, "mint(address,uint256)", self.address, str(DEPOSIT))
        self._send(key, token, "approve(address,uint256)", self.market, str(DEPOSIT))
        self._send(key, self.market, "deposit(address,uint256)", self.address, str(DEPOSIT))

    def balance(self) -> int:
        told = run(CAST, "call", "--rpc-url", self.rpc, self.market, "balanceOf(address)(uint256)", self.address)
        return int(told.split()[0])

    def _send(self, key: str, *words: str) -> None:
        run(CAST, "send", "--rpc-url", self.rpc, "--private-key", key, *words)


@pytest.fixture
def described(network: Network, tmp_path: Path) -> Path:
    """OpenAPI as the running gateway tells it."""
    told = httpx.get(network.settings["gateway_url"] + "/openapi.json", trust_env=False)
    file = tmp_path / "openapi.json"
    file.write_bytes(told.content)
    return file


def asked(network: Network, purse: GasFunds) -> str:
    return json.dumps(
        {
            "gateway": network.settings["gateway_url"],
            "key": purse.key,
            "words": WORDS,
            "command": COMMAND,
            "gpu": "RTX4090",
        }
    )


def check(told: Any, purse: GasFunds) -> None:
    assert (told["exit_code"], told["log"], told["files"]) == (0, "most often: two\n", {"most.txt": "two"})
    assert purse.balance() == DEPOSIT - int(told["paid"])


def test_a_client_made_by_openapi_python_client_does_a_whole_job(
    network: Network, described: Path, tmp_path: Path
) -> None:
    """Nothing is left out of what is generated; it signs by eth-account, sends a bundle, reads log and outputs, and pays to the unit."""
    made = tmp_path / "gateway_client"
    run(
        TOOLS / "openapi-python-client",
        "generate",
        "--path",
        described,
        "--output-path",
        made,
        "--meta",
        "none",
        "--fail-on-warning",
        cwd=tmp_path,
    )
    operations = [method for methods in json.loads(described.read_text())["paths"].values() for method in methods]
    assert len([file for file in made.glob("api/*/*.py") if file.name != "__init__.py"]) == len(operations)
    purse = GasFunds(network, "0x" + "51" * 32)

    told = json.loads(
        run(
            TOOLS / "python",
            HERE / "job.py",
            told=asked(network, purse),
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
        )
    )

    check(told, purse)


def test_a_client_made_by_openapi_typescript_does_a_whole_job(
    network: Network, described: Path, tmp_path: Path
) -> None:
    """What is written against the generated types holds the compiler's strictest rules, and does the same by ethers."""
    node = shutil.which("node")
    (tmp_path / "node_modules").symlink_to(ROOT / "node_modules")
    for name in ("job.mts", "tsconfig.json"):
        shutil.copy(HERE / name, tmp_path)
    run(
        node,
        ROOT / "node_modules/openapi-typescript/bin/cli.js",
        described,
        "-o",
        tmp_path / "gateway.d.ts",
        cwd=tmp_path,
    )
    run(node, ROOT / "node_modules/typescript/bin/tsc", "--project", tmp_path, cwd=tmp_path)
    purse = GasFunds(network, "0x" + "52" * 32)

    told = json.loads(run(node, tmp_path / "job.mjs", told=asked(network, purse), cwd=tmp_path))

    check(told, purse)
