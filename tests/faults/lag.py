"""An older state of the same chain: what a node that stands some blocks back would answer."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tests.faults.upstream import Upstream

Call = Mapping[str, Any]
_TAGS = ("latest", "pending", "safe", "finalized")
_STATE = {
    "eth_call": 1, "eth_estimateGas": 1, "eth_getTransactionCount": 1, "eth_getBalance": 1, "eth_getCode": 1, "eth_getStorageAt": 2,
}  # fmt: skip
"""Where the block stands among the parameters of calls that read the state."""


class Past:
    """Answers as of the block ``back`` blocks ago. Transactions that are handed in are handed on: nodes gossip."""

    def __init__(self, upstream: Upstream, back: int) -> None:
        self._upstream = upstream
        head = upstream.call("eth_blockNumber")
        self.number = max(0, int(head, 16) - back)

    def answer(self, call: Call) -> dict[str, Any]:
        """The whole JSON-RPC answer."""
        method, parameters = str(call.get("method")), copy.deepcopy(call.get("params") or [])
        match method:
            case "eth_blockNumber":
                return self._result(call, hex(self.number))
            case "eth_getBlockByNumber":
                return self._block_by_number(call, parameters)
            case "eth_getBlockByHash" | "eth_getTransactionReceipt":
                return self._only_if_past(call, "number" if method.endswith("Hash") else "blockNumber")
            case "eth_getTransactionByHash":
                return self._only_if_past(call, "blockNumber")
            case "eth_getLogs":
                return self._logs(call, parameters)
            case _ if method in _STATE:
                return self._state(call, parameters, _STATE[method])
            case _:
                return dict(self._upstream.exchange(call))

    def _result(self, call: Call, result: Any) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call.get("id"), "result": result}

    def _unknown(self, call: Call, message: str) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": call.get("id"), "error": {"code": -32000, "message": message}}

    def _block_by_number(self, call: Call, parameters: list[Any]) -> dict[str, Any]:
        which = parameters[0]
        if which in _TAGS:
            parameters[0] = hex(self.number)
        elif which != "earliest" and int(which, 16) > self.number:
            return self._result(call, None)
        return dict(self._upstream.exchange({**call, "params": parameters}))

    def _only_if_past(self, call: Call, field: str) -> dict[str, Any]:
        answer = dict(self._upstream.exchange(call))
        found = answer.get("result")
        if found and found.get(field) and int(found[field], 16) > self.number:
            return self._result(call, None)
        return answer

    def _logs(self, call: Call, parameters: list[Any]) -> dict[str, Any]:
        """Blocks that it does not have are blocks without logs, as lagging nodes say it: without an error."""
        wanted = parameters[0]
        if "blockHash" in wanted:
            block = self._upstream.call("eth_getBlockByHash", wanted["blockHash"], False)
            if block is None or int(block["number"], 16) > self.number:
                return self._unknown(call, "unknown block")
            return dict(self._upstream.exchange(call))
        wanted["toBlock"] = hex(min(self._number(wanted.get("toBlock", "latest")), self.number))
        if self._number(wanted.get("fromBlock", "latest")) > int(wanted["toBlock"], 16):
            return self._result(call, [])
        return dict(self._upstream.exchange({**call, "params": parameters}))

    def _state(self, call: Call, parameters: list[Any], place: int) -> dict[str, Any]:
        which = parameters[place] if len(parameters) > place else "latest"
        if isinstance(which, Mapping):
            block = self._upstream.call("eth_getBlockByHash", which.get("blockHash"), False)
            if block is None or int(block["number"], 16) > self.number:
                return self._unknown(call, "header not found")
            return dict(self._upstream.exchange(call))
        if which not in _TAGS and self._number(which) > self.number:
            return self._unknown(call, "header not found")
        if which in _TAGS:
            parameters[place:] = [hex(self.number)]
        return dict(self._upstream.exchange({**call, "params": parameters}))

    def _number(self, which: str) -> int:
        if which == "earliest":
            return 0
        return self.number if which in _TAGS else int(which, 16)
