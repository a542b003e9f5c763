"""What a node's answers mean: the one place where JSON becomes a result or a typed error.

Whatever a node, a proxy before it or somebody between us says, one of these comes out: the result, of the shape that the
method has; TransactionReverted, decoded; NodeRefused, with the node's words; RateLimited, with the time to wait;
ChainUnavailable for everything else, which is no answer at all and may be one the next time.
"""

from __future__ import annotations

import email.utils
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marketplace.chain.reverts import reverted
from marketplace.chain.rpc_shapes import fits, is_bytes, printable
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, NodeRefused, RateLimited

RETRY_AFTER_DEFAULT_SECONDS: Final = 1.0
RETRY_AFTER_LIMIT_SECONDS: Final = 60.0
"""A node may ask for more; nobody waits longer before asking again."""

MISREAD: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What code raises that meets something else than it reckoned with."""

_RUNNING: Final = frozenset({"eth_call", "eth_estimateGas"})
"""Methods that run code: nothing else can revert."""
_CODE_BITS: Final = 63
_REVERTED_CODE: Final = 3
"""JSON-RPC code of a call that reverted."""
_RATE_CODES: Final = (429, -32005)
"""EIP-1474 calls -32005 "limit exceeded". Some nodes use it for too many results, too, which waiting does not mend."""
_RATE_WORDS: Final = (
    "rate limit", "rate-limit", "ratelimit", "too many requests", "compute units", "request rate exceeded", "request limit",
    "requests per second", "request count exceeded",
)  # fmt: skip
_SIZE_WORDS: Final = ("results", "range", "response size", "too large", "too many logs", "too many blocks")
_BEHIND_WORDS: Final = (
    "header not found", "unknown block", "block not found", "header for hash not found", "beyond current head",
    "blockoutofrange", "block out of range", "resource not found",
)  # fmt: skip
"""A backend that lags, or a block that has left the chain: asked again, from a new head, the question has an answer."""


@dataclass(frozen=True, slots=True)
class Request:
    """One JSON-RPC request."""

    id: int
    method: str
    parameters: Sequence[Any]

    @property
    def content(self) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": self.id, "method": self.method, "params": list(self.parameters)}


class BatchRefused(Exception):
    """The node takes no batches, or none of this length. Never leaves this package: the calls are made in smaller ones.

    ``is_certain``: it says so. Otherwise it answered with something that is no answer, and single calls will tell.
    """

    def __init__(self, sentence: str, *, is_certain: bool = True) -> None:
        super().__init__(sentence)
        self.is_certain = is_certain


def parsed(body: bytes | str, told: str) -> Any:
    """The JSON of an answer. Raises ChainUnavailable for what is none: a proxy's page, or an answer that was cut off."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ChainUnavailable(f"the node answers {told} with what is no JSON: {type(exc).__name__}") from exc


def result_of(request: Request, answer: Any) -> Any:
    """The result in a node's answer to this request. Raises the typed error that it is otherwise."""
    if not isinstance(answer, Mapping):
        raise ChainUnavailable(f"the node answers {request.method} with no object")
    error = answer.get("error")
    is_ours = type(answer.get("id")) is int and answer["id"] == request.id
    if not is_ours and (answer.get("id") is not None or error is None):
        # Without an id it may still be an error: one that was found before the id was read.
        raise ChainUnavailable(f"the node answers another question than {request.method}")
    if error is not None:
        raise error_of(request.method, error)
    if "result" not in answer:
        raise ChainUnavailable(f"the node answers {request.method} without a result")
    if not fits(request.method, request.parameters, answer["result"]):
        raise ChainUnavailable(
            f"the node answers {request.method} with {str(answer['result'])[:80]!r}, which is no answer to it"
        )
    return answer["result"]


def outcome_of(request: Request, answer: Any) -> Any:
    """As ``result_of``, with an error handed back instead of raised."""
    try:
        return result_of(request, answer)
    except ChainError as exc:
        return exc


def outcomes_of(requests: Sequence[Request], answer: Any) -> list[Any]:
    """The outcome of each request of a batch, in their order, whatever the order of the answers.

    Raises BatchRefused where the node says one thing instead of one for each, and RateLimited where that thing is so.
    """
    if not isinstance(answer, list):
        raise _whole(answer)
    by_id: dict[int, list[Any]] = {}
    for one in answer:
        if isinstance(one, Mapping) and type(one.get("id")) is int:
            by_id.setdefault(one["id"], []).append(one)
    if not by_id:
        raise _whole(answer[0] if answer else None)
    return [_of_several(request, by_id.get(request.id, [])) for request in requests]


def _of_several(request: Request, told: Sequence[Any]) -> Any:
    """What came for one request of a batch: nothing, one answer, or the same one twice; two different ones are none."""
    if not told:
        return ChainUnavailable(f"the node leaves {request.method} out of its answers")
    if any(other != told[0] for other in told):
        return ChainUnavailable(f"the node answers {request.method} twice, and differently")
    return outcome_of(request, told[0])


def _whole(answer: Any) -> Exception:
    """What one answer to a whole batch means."""
    error = answer.get("error") if isinstance(answer, Mapping) else None
    if error is None:
        return BatchRefused("the node answers a batch with no list of answers", is_certain=False)
    meant = error_of("a batch", error)
    return meant if isinstance(meant, ChainUnavailable) else BatchRefused(str(meant))


def error_of(method: str, error: Any) -> ChainError:
    """The typed error that a JSON-RPC ``error`` means."""
    if not isinstance(error, Mapping) or not ("code" in error or "message" in error):
        return _worded(method, str(error)) or ChainUnavailable(
            f"the node answers {method} with: {printable(str(error))}"
        )
    content, message, code = error.get("data"), str(error.get("message", "")), _code(error)
    if method in _RUNNING and isinstance(content, str) and is_bytes(content):
        return reverted(content)
    if method in _RUNNING and (code == _REVERTED_CODE or message.startswith("execution reverted")):
        return reverted("0x")
    if method == "eth_getLogs" and any(word in message.lower() for word in _SIZE_WORDS):
        return NodeRefused(method, code, printable(message))
    if code in _RATE_CODES:
        return RateLimited(f"the node limits {method}: {printable(message)}", _advised(content))
    return _worded(method, message) or NodeRefused(method, code, printable(message))


def _worded(method: str, message: str) -> ChainError | None:
    """Nodes tell some cases apart by words only, and by other words each."""
    said = message.lower()
    if any(word in said for word in _RATE_WORDS):
        return RateLimited(f"the node limits {method}: {printable(message)}", RETRY_AFTER_DEFAULT_SECONDS)
    if any(word in said for word in _BEHIND_WORDS):
        return ChainUnavailable(f"the node does not know a block of {method}: {printable(message)}")
    return None


def _code(error: Mapping[str, Any]) -> int:
    code = error.get("code", 0)
    return code if isinstance(code, int) and abs(code) >> _CODE_BITS == 0 else 0


def _advised(content: Any) -> float:
    """How long to wait by the node's own words (``{"rate": {"backoff_seconds": 30}}``), or as usual."""
    rate = content.get("rate") if isinstance(content, Mapping) else None
    seconds = rate.get("backoff_seconds") if isinstance(rate, Mapping) else None
    return _bounded(seconds) if isinstance(seconds, int | float) else RETRY_AFTER_DEFAULT_SECONDS


def retry_after_seconds(header: str | None, date: str | None) -> float:
    """What a ``Retry-After`` says: seconds, or an HTTP date, which is held against the answer's own ``Date``; capped."""
    if header is None:
        return RETRY_AFTER_DEFAULT_SECONDS
    try:
        return _bounded(float(header))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(header)
        # The answer's own clock, not ours: both times are the node's.
        since = email.utils.parsedate_to_datetime(date or "")
        return _bounded((until - since).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return RETRY_AFTER_DEFAULT_SECONDS


def _bounded(seconds: float) -> float:
    """From a moment to a minute; what is no number counts as a minute. No sum is made of it: it may be longer than a float can be."""
    return min(RETRY_AFTER_LIMIT_SECONDS, max(0.1, seconds)) if seconds == seconds else RETRY_AFTER_LIMIT_SECONDS
