"""What a faulty node answers to each call: the truth, or what the rules make of it."""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults import pool
from tests.faults.lag import Past
from tests.faults.rules import Fault, Rule, Rulebook
from tests.faults.upstream import Upstream

Call = Mapping[str, Any]

_BEFORE = frozenset(
    {Fault.ERROR, Fault.UNKNOWN_METHOD, Fault.LAGGING, Fault.SPLIT, Fault.GETH_POOL, Fault.LOG_RANGE, Fault.LOG_COUNT}
)
"""Faults for which a call is looked at before the node is asked."""
_SEES_POOL = frozenset({"eth_sendRawTransaction", "eth_getTransactionByHash", "eth_getTransactionCount", "eth_getTransactionReceipt"})  # fmt: skip


def refused(call: Call, code: int, message: str) -> dict[str, Any]:
    """A JSON-RPC error as the answer to a call."""
    return {"jsonrpc": "2.0", "id": call.get("id"), "error": {"code": code, "message": message}}


class Teller:
    """Answers calls: asks the node, and changes the answers as the rules say. Safe to share between threads."""

    def __init__(self, upstream: Upstream, rules: Rulebook) -> None:
        self._upstream, self._rules = upstream, rules

    def answers(self, line: str, calls: Sequence[Call], dealt: Sequence[tuple[Rule, ...]]) -> list[dict[str, Any]]:
        """One answer for each call, in order. What strikes no call is asked of the node in one exchange."""
        if any(rule.fault in _BEFORE for rules in dealt for rule in rules):
            told = [self._one(line, call, rules) for call, rules in zip(calls, dealt, strict=True)]
        else:
            told = self._together(calls)
        return [
            self._changed(line, call, answer, rules) for call, answer, rules in zip(calls, told, dealt, strict=True)
        ]

    def _together(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        if len(calls) == 1:
            return [dict(self._upstream.exchange(calls[0]))]
        told = self._upstream.exchange(list(calls))
        if not isinstance(told, list) or len(told) != len(calls):
            raise http.client.HTTPException("the node does not answer the batch")
        by_id = {answer.get("id"): answer for answer in told}
        return [dict(by_id.get(call.get("id"), answer)) for call, answer in zip(calls, told, strict=True)]

    # Before the node is asked

    def _one(self, line: str, call: Call, rules: tuple[Rule, ...]) -> dict[str, Any]:
        method = str(call.get("method"))
        for rule in rules:
            answer = self._instead(rule, line, method, call)
            if answer is not None:
                return answer
        return dict(self._upstream.exchange(call))

    def _instead(self, rule: Rule, line: str, method: str, call: Call) -> dict[str, Any] | None:
        """What this rule answers instead of the node, if anything."""
        match rule.fault:
            case Fault.ERROR:
                self._rules.note(rule, line, method, str(rule.setting))
                return refused(call, rule.setting, rule.message or "internal error")
            case Fault.UNKNOWN_METHOD:
                self._rules.note(rule, line, method)
                return refused(call, -32601, f"the method {method} does not exist/is not available")
            case Fault.LAGGING | Fault.SPLIT:
                return self._past(rule, line, method, call)
            case Fault.GETH_POOL if method in _SEES_POOL:
                return self._pooled(rule, line, method, call)
            case Fault.LOG_RANGE | Fault.LOG_COUNT if method == "eth_getLogs":
                return self._limited(rule, line, call)
            case _:
                return None

    def _past(self, rule: Rule, line: str, method: str, call: Call) -> dict[str, Any] | None:
        if rule.fault is Fault.SPLIT:
            number = sum(self._rules.struck.values())
            if self._rules.draw(rule, line, method, number) < 0.5:
                self._rules.note(rule, line, method, "the newest state")
                return None
        past = Past(self._upstream, rule.setting)
        self._rules.note(rule, line, method, f"as of block {past.number}")
        return past.answer(call)

    def _pooled(self, rule: Rule, line: str, method: str, call: Call) -> dict[str, Any] | None:
        evicted = pool.evict(self._upstream)
        if evicted:
            self._rules.note(rule, line, method, f"evicted {', '.join(evicted)}")
        if method != "eth_sendRawTransaction":
            return None
        why = pool.refusal(self._upstream, call["params"][0])
        if why is None:
            return None
        self._rules.note(rule, line, method, why)
        return refused(call, -32000, why)

    def _limited(self, rule: Rule, line: str, call: Call) -> dict[str, Any] | None:
        wanted = call["params"][0]
        if "blockHash" in wanted:
            return None
        if rule.fault is Fault.LOG_COUNT:
            found = self._upstream.exchange(call)
            if len(found.get("result") or ()) <= rule.setting:
                return dict(found)
            said = f"query returned more than {rule.setting} results"
        else:
            head = int(self._upstream.call("eth_blockNumber"), 16)
            first, last = (
                int(where, 16) if where.startswith("0x") else head
                for where in (wanted.get("fromBlock", "latest"), wanted.get("toBlock", "latest"))
            )
            if last - first < rule.setting:
                return None
            said = f"exceed maximum block range: {rule.setting}"
        self._rules.note(rule, line, "eth_getLogs", said)
        return refused(call, -32005 if rule.fault is Fault.LOG_COUNT else -32602, rule.message or said)

    # After the node has answered

    def _changed(self, line: str, call: Call, answer: dict[str, Any], rules: tuple[Rule, ...]) -> dict[str, Any]:
        for rule in rules:
            changed = _tampered(rule, call, answer)
            if changed is not None:
                self._rules.note(rule, line, str(call.get("method")), rule.message)
                answer = changed
        return answer


def _tampered(rule: Rule, call: Call, answer: dict[str, Any]) -> dict[str, Any] | None:
    """The answer as this rule spoils it; None where there is nothing to spoil."""
    result = answer.get("result")
    match rule.fault:
        case Fault.FAILED_AFTERWARDS:
            return refused(call, -32603, rule.message or "internal error")
        case Fault.WRONG_ID:
            return {**answer, "id": 987_654_321}
        case Fault.NULL:
            return {"jsonrpc": "2.0", "id": answer.get("id"), "result": None}
        case Fault.EMPTY_LOGS if isinstance(result, list) and result:
            return {**answer, "result": []}
        case Fault.PARTIAL_LOGS if isinstance(result, list) and result:
            return {**answer, "result": result[1::2]}
        case Fault.NO_FIELD if isinstance(result, dict) and rule.message in result:
            return {**answer, "result": {name: value for name, value in result.items() if name != rule.message}}
        case Fault.WRONG_TYPE if result is not None:
            return {**answer, "result": "0xnonsense"}
        case _:
            return None
