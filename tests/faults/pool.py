"""The rules of geth's transaction pool, which anvil does not keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eth_account import Account
from eth_account.typed_transactions.typed_transaction import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from tests.faults.upstream import Upstream

BUMP_PERCENT = 10


def refusal(upstream: Upstream, raw: str) -> str | None:
    """What geth would say to this transaction where anvil would take it, or take it for another reason; None where it is well."""
    sent = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
    sender, nonce = Account.recover_transaction(raw), int(sent["nonce"])
    waiting = waiting_of(upstream, sender).get(nonce)
    if waiting and waiting["hash"] == "0x" + keccak(HexBytes(raw)).hex():
        return "already known"
    count = int(upstream.call("eth_getTransactionCount", sender, "latest"), 16)
    if nonce < count:
        return f"nonce too low: next nonce {count}, tx nonce {nonce}"
    if waiting and not _outbids(sent, waiting):
        return "replacement transaction underpriced"
    return None


def waiting_of(upstream: Upstream, sender: str) -> dict[int, Mapping[str, Any]]:
    """What waits in the pool for an account, by nonce."""
    found: dict[int, Mapping[str, Any]] = {}
    for one in _waiting(upstream):
        if one["from"].lower() == sender.lower():
            found[int(one["nonce"], 16)] = one
    return found


def evict(upstream: Upstream) -> tuple[str, ...]:
    """Drop what cannot pay the next block's base fee, as a full pool does; the hashes."""
    header = upstream.call("eth_getBlockByNumber", "pending", False) or {}
    base = int(header.get("baseFeePerGas", "0x0"), 16)
    poor = tuple(one["hash"] for one in _waiting(upstream) if int(_cap(one), 16) < base)
    for hash_ in poor:
        upstream.call("anvil_dropTransaction", hash_)
    return poor


def _waiting(upstream: Upstream) -> list[Mapping[str, Any]]:
    content = upstream.call("txpool_content") or {}
    return [
        one for kind in ("pending", "queued") for nonces in content.get(kind, {}).values() for one in nonces.values()
    ]


def _cap(one: Mapping[str, Any]) -> str:
    return str(one.get("maxFeePerGas") or one.get("gasPrice") or "0x0")


def _outbids(sent: Mapping[str, Any], waiting: Mapping[str, Any]) -> bool:
    cap, tip = int(_cap(waiting), 16), int(waiting.get("maxPriorityFeePerGas") or "0x0", 16)
    enough = 100 + BUMP_PERCENT
    return bool(
        100 * sent["maxFeePerGas"] >= enough * cap
        and 100 * sent["maxPriorityFeePerGas"] >= enough * tip
        and (sent["maxFeePerGas"], sent["maxPriorityFeePerGas"]) > (cap, tip)
    )
