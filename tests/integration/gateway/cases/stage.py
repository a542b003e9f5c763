"""schemathesis against a real gateway: how many cases it made, and what it found."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marketplace.chain.devnet import ANVIL_PRIVATE_KEYS, start_anvil
from marketplace.domain.ids import bytes32_of
from marketplace.domain.units import GpuCount
from marketplace.domain.wire import receipt_to_wire
from marketplace.store.redis_server import start_redis
from tests.integration.gateway.conftest import ARBITER, CLIENT, OPENER, PROVIDER, Gateway, opened_gateway
from tests.ports import free_port

HERE = Path(__file__).parent
ROOT = HERE.parents[3]
PROGRAM = ROOT / ".tools/clients/bin/st"
MOST_SECONDS = 3_000


@dataclass(frozen=True)
class Tried:
    """What came of it."""

    cases: int
    failures: int
    said: str
    """By the tool, for people."""


def tried(folder: Path, examples: int) -> Tried:
    """All checks on every operation: what its schema's bounds make, and beyond that as many examples of each."""
    with a_market(folder) as market:
        report = folder / "report.json"
        command = [
            PROGRAM, f"--config-file={HERE / 'schemathesis.toml'}", "run", f"{market['url']}/openapi.json", f"--max-examples={examples}",
            f"--report-json-path={report}", "--no-color",
        ]  # fmt: skip
        told = {
            "BOURSE_STAGE": json.dumps(market),
            "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
        }
        done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, cwd=folder, env=told)
    said = done.stdout + done.stderr
    if not report.exists():
        return Tried(0, 1, said)
    told = json.loads(report.read_text())
    failures = told["test_cases"]["with_failures"] + told["test_cases"]["errored"]
    return Tried(told["test_cases"]["generated"], failures or int(done.returncode != 0), said)


@contextmanager
def a_market(folder: Path) -> Iterator[dict[str, Any]]:
    """A gateway over a chain whose blocks come by themselves, with an offer, a lease, an order that waits, and an indexer that follows; and what
    there is in it."""
    for name in ("anvil", "redis"):
        (folder / name).mkdir()
    anvil, redis = start_anvil(free_port(), folder / "anvil", block_time=1), start_redis(folder / "redis")
    stop = threading.Event()
    try:
        with opened_gateway(anvil, redis, folder) as gateway:
            told = _told(gateway)
            follower = threading.Thread(target=_follow, args=(gateway, stop))
            follower.start()
            try:
                yield told
            finally:
                stop.set()
                follower.join(30)
    finally:
        redis.stop()
        anvil.stop()


def _told(gateway: Gateway) -> dict[str, Any]:
    """What there is, after it has been made."""
    offer = gateway.list(gpus=GpuCount(64))
    lease, waiting = gateway.leased(offer).id, gateway.signed()
    assert gateway.post_order(waiting).status_code == 201
    log = gateway.write(
        PROVIDER, "POST", f"/v1/leases/{lease}/logs?offset=0", b"epoch 1\n", kind="application/octet-stream"
    )
    assert log.status_code == 200, log.text
    result = gateway.result()
    receipt = gateway.receipt(lease, 1, bytes32_of(result.sha256))
    assert gateway.post_receipt(PROVIDER, receipt, "provider", result).status_code == 201
    private = gateway.keep(b"an input of the client's", CLIENT)
    return {
        "url": gateway.url, "chainId": gateway.domain.chain_id, "market": gateway.domain.market, "opener": OPENER.address,
        "arbiter": ARBITER.address, "spec": waiting.order.spec, "keys": {"client": ANVIL_PRIVATE_KEYS[1].hex(), "provider": ANVIL_PRIVATE_KEYS[2].hex()},
        "known": {
            "lease_id": [lease, waiting.id], "order_id": [waiting.id, lease], "offer": [str(offer.id)], "name": [private, result.log.sha256],
            "account": [CLIENT.address, PROVIDER.address], "provider": [PROVIDER.address],
        },
        "serving": receipt_to_wire(receipt) | {"last": False},
        "streams": {"GET /v1/events": {"after": "0", "live": "true"}, "GET /v1/leases/{lease_id}/logs": {"offset": "0"}},
    }  # fmt: skip


def _follow(gateway: Gateway, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        gateway.projector.step()
