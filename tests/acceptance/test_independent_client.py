"""A client that knows docs/reference/specification.md and docs/reference/http.md, and nothing of this package.

It speaks to the chain with ``cast`` and to the gateway with plain HTTP. Nothing here imports the market's own code on purpose.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Network, eventually

CAST = Path(__file__).parents[2] / "node_modules/@foundry-rs/cast-linux-amd64/bin/cast"
KEY = "0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"
"""anvil's ninth development key: for local chains only, and nobody else's in the development network."""
FAUCET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""anvil's first development key."""

ORDER_TYPE = (
    "address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,uint16 minBondBps,"
    "uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,bytes32 spec,uint256 salt"
)
RECEIPT_TYPE = "bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last"
ORDER_TUPLE = "(" + ",".join(part.split(" ")[0] for part in ORDER_TYPE.split(",")) + ")"
ZERO = "0x" + "0" * 40


def canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Stranger:
    """Somebody with a key, cast, an RPC URL and a gateway URL."""

    def __init__(self, settings: dict[str, str], folder: Path) -> None:
        self.rpc, self.http, self.folder = settings["rpc_urls"], httpx.Client(base_url=settings["gateway_url"]), folder
        self.market = self.http.get("/v1/market").json()
        self.address = self.cast("wallet", "address", "--private-key", KEY).lower()

    def cast(self, *arguments: str) -> str:
        done = subprocess.run([str(CAST), *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def send(self, key: str, to: str, signature: str, *arguments: str) -> None:
        self.cast("send", "--rpc-url", self.rpc, "--private-key", key, to, signature, *arguments)

    def call(self, to: str, signature: str, *arguments: str) -> str:
        return self.cast("call", "--rpc-url", self.rpc, to, signature, *arguments)

    def balance(self) -> int:
        return int(self.call(self.market["market"], "balanceOf(address)(uint256)", self.address).split()[0])

    def typed(self, name: str, fields: str, message: dict[str, Any]) -> str:
        """The EIP-712 signature of ``message``."""
        kinds = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields.split(",")]
        domain_kinds = [
            ("string", "name"),
            ("string", "version"),
            ("uint256", "chainId"),
            ("address", "verifyingContract"),
        ]
        document = {
            "types": {name: kinds, "EIP712Domain": [{"type": kind, "name": label} for kind, label in domain_kinds]},
            "primaryType": name,
            "domain": {"name": "ComputeMarket", "version": "1", "chainId": self.market["chainId"],
                       "verifyingContract": self.market["market"]},
            "message": message,
        }  # fmt: skip
        file = self.folder / f"{name}.json"
        file.write_text(json.dumps(document))
        return self.cast("wallet", "sign", "--private-key", KEY, "--data", "--from-file", str(file))

    def write(self, method: str, path: str, body: bytes, kind: str) -> httpx.Response:
        """A request that carries its sender's signature (docs/reference/http.md, Who may write)."""
        at = self.http.get("/v1/market").json()["block"]["timestamp"]
        text = (
            f"Compute Bourse request\n\n{method} {path}\nBody sha256: {hashlib.sha256(body).hexdigest()}\nBlock time: {at}\n"
            f"Chain id: {self.market['chainId']}\nMarket: {self.market['market'].lower()}"
        )
        headers = {
            "Bourse-Account": self.address, "Bourse-Time": str(at), "Content-Type": kind,
            "Bourse-Signature": self.cast("wallet", "sign", "--private-key", KEY, text),
        }  # fmt: skip
        answer = self.http.request(method, path, content=body, headers=headers)
        assert answer.is_success, answer.text
        return answer


@pytest.fixture
def me(network: Network, tmp_path: Path) -> Iterator[Stranger]:
    """Somebody whom the market has never seen."""
    stranger = Stranger(network.settings, tmp_path)
    yield stranger
    stranger.http.close()


def test_a_stranger_with_the_protocol_page_gets_a_job_done(me: Stranger) -> None:
    """cast and plain HTTP can deposit, sign an order, have it served, counter-sign, and withdraw to the last unit (P-03)."""
    market, token = me.market["market"], me.market["token"]["address"]
    me.send(FAUCET, token, "mint(address,uint256)", me.address, "5000000")
    me.send(KEY, token, "approve(address,uint256)", market, "5000000")
    me.send(KEY, market, "deposit(address,uint256)", me.address, "5000000")

    command = ["python", "-c", "open('/job/out/x', 'w').write('hi')"]
    work = canonical({"version": 1, "salt": secrets.token_hex(32), "command": command})
    work_name = hashlib.sha256(work).hexdigest()
    spec = canonical({"version": 2, "image": "host", "work": {"sha256": work_name, "bytes": len(work)}})
    name = hashlib.sha256(spec).hexdigest()
    for blob, content in ((work_name, work), (name, spec)):
        public = "?public=true" if blob == name else ""
        me.write("PUT", f"/v1/blobs/{blob}{public}", content, "application/octet-stream")
    number = next(item["class"] for item in me.http.get("/v1/classes").json()["items"] if item["name"] == "RTX4090")
    order = {
        "client": me.address, "classes": str(1 << number), "offer": "0", "gpus": "1", "maxSeconds": "60", "minSeconds": "0",
        "maxPrice": "400000", "minBondBps": "0", "startsAt": "0",
        "expiresAt": str(me.http.get("/v1/market").json()["block"]["timestamp"] + 600),
        "tip": "0", "opener": me.market["opener"], "acceptor": ZERO, "arbiter": me.market["arbiter"], "spec": "0x" + name,
        "salt": str(secrets.randbits(256)),
    }  # fmt: skip
    signed = {"order": order, "signature": me.typed("Order", ORDER_TYPE, order)}
    answer = me.http.post("/v1/orders", json=signed)
    assert answer.status_code == 201, answer.text
    order_id = answer.json()["id"]
    told = "(" + ",".join(order[part.split(" ")[1]] for part in ORDER_TYPE.split(",")) + ")"
    assert order_id == me.call(market, f"orderId({ORDER_TUPLE})(bytes32)", told)

    def provider_receipt() -> Any:
        found = me.http.get(f"/v1/leases/{order_id}/receipts")
        listed = found.json()["receipts"] if found.status_code == 200 else []
        return next(
            (item["receipt"] for item in listed if item["role"] == "provider" and item["receipt"]["last"]), None
        )

    receipt = eventually(provider_receipt, "the provider's receipt")
    result = me.write("GET", f"/v1/leases/{order_id}/outputs", b"", "application/json").json()["result"]
    assert receipt["result"] == "0x" + hashlib.sha256(canonical(result)).hexdigest()
    assert result["exit_code"] == 0
    mine = {"receipt": receipt, "role": "client", "signature": me.typed("Receipt", RECEIPT_TYPE, receipt)}
    me.write("POST", f"/v1/leases/{order_id}/receipts", canonical(mine), "application/json")

    def closed_lease() -> Any:
        lease = me.http.get(f"/v1/leases/{order_id}").json()
        return lease if lease["status"] == "Closed" else None

    lease = eventually(closed_lease, "the settlement")
    paid = int(lease["price"]) * int(receipt["usedSeconds"]) // 3600
    assert me.balance() == 5_000_000 - paid
    me.send(KEY, market, "withdraw(address,uint256)", me.address, str(5_000_000 - paid))
    assert me.balance() == 0
