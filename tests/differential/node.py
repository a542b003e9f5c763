"""A line to anvil that says exactly which transactions a block holds, in which order and at which second.

Anvil mines only when it is told to, and sends for any address without its key, contracts included.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from marketplace.chain.contracts import SELECTOR_BYTES, Signature, contract_abi, decoded

ARGUMENTS = ("--no-mining", "--order", "fifo", "--base-fee", "0", "--gas-price", "0", "--gas-limit", "1000000000")
GAS = 12_000_000
_ANSWER_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one transaction came to: its logs, or the error with which it reverted."""

    logs: tuple[Any, ...]
    error: tuple[str, tuple[Any, ...]] | None


class Node:
    """One kept connection; anvil answers its requests one after the other."""

    def __init__(self, rpc_url: str) -> None:
        address = urlsplit(rpc_url)
        self._connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=_ANSWER_SECONDS)

    def close(self) -> None:
        self._connection.close()

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self._ask({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def calls(self, wanted: Sequence[tuple[str, bytes]]) -> list[bytes]:
        """What views answer now, all in one request."""
        requests = [
            {"jsonrpc": "2.0", "id": number, "method": "eth_call", "params": [{"to": to, "data": "0x" + content.hex()}]}
            for number, (to, content) in enumerate(wanted)
        ]
        answers = sorted(self._ask(requests), key=lambda answer: int(answer["id"])) if requests else []
        return [bytes.fromhex(answer["result"][2:]) for answer in answers]

    def block(self, now: int, sent: Sequence[tuple[str, str | None, bytes]]) -> list[Outcome]:
        """Mine one block at this second with these transactions (sender, receiver, content), in this order."""
        hashes = [self._send(*each) for each in sent]
        self.rpc("evm_mine", now)
        receipts = self.rpc("eth_getBlockReceipts", "latest")
        assert [receipt["transactionHash"] for receipt in receipts] == hashes, "the block holds other transactions"
        return [self._outcome(receipt) for receipt in receipts]

    def create(self, now: int, sender: str, content: bytes) -> str:
        self._send(sender, None, content)
        self.rpc("evm_mine", now)
        (receipt,) = self.rpc("eth_getBlockReceipts", "latest")
        assert receipt["status"] == "0x1", receipt
        return str(receipt["contractAddress"]).lower()

    def _send(self, sender: str, to: str | None, content: bytes) -> str:
        transaction = {"from": sender, "data": "0x" + content.hex(), "gas": hex(GAS), "gasPrice": "0x0"}
        return str(self.rpc("eth_sendTransaction", transaction | ({"to": to} if to else {})))

    def _outcome(self, receipt: Any) -> Outcome:
        if receipt["status"] == "0x1":
            return Outcome(tuple(receipt["logs"]), None)
        trace = self.rpc("debug_traceTransaction", receipt["transactionHash"], {"tracer": "callTracer"})
        return Outcome((), error_of(bytes.fromhex(trace.get("output", "0x")[2:])))

    def _ask(self, request: Any) -> Any:
        self._connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
        return json.loads(self._connection.getresponse().read())


def error_of(output: bytes) -> tuple[str, tuple[Any, ...]]:
    """The custom error's name and its arguments in the order of the ABI."""
    found = _errors().get(output[:SELECTOR_BYTES])
    if found is None:
        return "(no error that is known)", (output.hex(),)
    return found.name, decoded(found.inputs, output[SELECTOR_BYTES:])


def event_of(log: Any) -> tuple[str, tuple[Any, ...]]:
    """An event's name and its arguments in the order of the ABI, which puts the indexed ones first."""
    event = _events()[log["topics"][0]]
    topics = bytes.fromhex("".join(topic[2:] for topic in log["topics"][1:]))
    indexed = decoded([part for part in event.inputs if part.indexed], topics)
    rest = decoded([part for part in event.inputs if not part.indexed], bytes.fromhex(log["data"][2:]))
    return event.name, (*indexed, *rest)


@cache
def _errors() -> Mapping[bytes, Signature]:
    contracts = [contract_abi(name) for name in ("ComputeMarket", "TestDollar")]
    return {each.selector: each for contract in contracts for each in contract.errors.values()}


@cache
def _events() -> Mapping[str, Signature]:
    return {"0x" + each.hash.hex(): each for each in contract_abi("ComputeMarket").events.values()}
