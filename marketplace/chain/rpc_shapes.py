"""What the result of each JSON-RPC method looks like, as far as somebody here reads it.

A result of another shape, null where the method never gives null, or one that speaks of another thing than was asked for,
is no answer: whoever reads on would crash, after its money has moved perhaps. Methods that are not listed, such as anvil's
own, are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeGuard

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_BYTES: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_HASH_LENGTH: Final = 66
_TEXT: Final = {str}
_LONGEST_WORDS: Final = 300

_Shape = Callable[[Any, Sequence[Any]], bool]
"""Whether a result is one, given the request's parameters."""


def is_quantity(value: Any) -> TypeGuard[str]:
    """Whether it is a number as JSON-RPC writes it."""
    return isinstance(value, str) and _QUANTITY.fullmatch(value) is not None


def is_bytes(value: Any) -> bool:
    """Whether it is bytes as JSON-RPC writes them."""
    return isinstance(value, str) and _BYTES.fullmatch(value) is not None


def is_hash(value: Any) -> bool:
    return is_quantity(value) and len(value) == _HASH_LENGTH


def printable(words: str) -> str:
    """What a node said, fit for errors, logs and terminals: the first 300 characters, and those that do not print as question marks."""
    return "".join(character if character.isprintable() else "?" for character in words[:_LONGEST_WORDS])


def fits(method: str, parameters: Sequence[Any], result: Any) -> bool:
    """Whether ``result`` can be the answer of ``method`` to these parameters."""
    shape = _SHAPES.get(method)
    return shape is None or shape(result, parameters)


def _same(told: Any, asked: Any) -> bool:
    return isinstance(asked, str) and isinstance(told, str) and told.lower() == asked.lower()


def _is_block_by_hash(result: Any, parameters: Sequence[Any]) -> bool:
    return result is None or (isinstance(result, Mapping) and _same(result.get("hash"), parameters[0]))


def _is_block_by_number(result: Any, parameters: Sequence[Any]) -> bool:
    if result is None:
        return True
    is_tag = not str(parameters[0]).startswith("0x")
    return isinstance(result, Mapping) and (is_tag or _same(result.get("number"), parameters[0]))


def _is_transaction(result: Any, parameters: Sequence[Any]) -> bool:
    """Also of one that waits: its block is null then, or absent."""
    if result is None:
        return True
    return (
        isinstance(result, Mapping)
        and _same(result.get("hash"), parameters[0])
        and (result.get("blockNumber") is None or is_quantity(result["blockNumber"]))
        and (result.get("blockHash") is None or is_hash(result["blockHash"]))
        and all(is_quantity(result.get(name)) for name in ("nonce", "gas"))
        and is_bytes(result.get("input"))
        and (result.get("to") is None or is_bytes(result["to"]))
    )


def _is_receipt(result: Any, parameters: Sequence[Any]) -> bool:
    if result is None:
        return True
    return (
        isinstance(result, Mapping)
        and _same(result.get("transactionHash"), parameters[0])
        and is_hash(result.get("blockHash"))
        and all(is_quantity(result.get(name)) for name in ("blockNumber", "status", "gasUsed"))
        and all(result.get(name) is None or is_bytes(result[name]) for name in ("to", "contractAddress"))
        and _are_logs(result.get("logs"), parameters)
    )


def _are_logs(result: Any, _: Sequence[Any]) -> bool:
    return isinstance(result, list) and all(map(_is_log, result))


def _is_log(log: Any) -> bool:
    """Cheap, for there are many: that the fields are there and are texts. What decodes them sees the rest."""
    try:
        texts = (
            log["address"], log["data"], log["blockHash"], log["blockNumber"], log["transactionHash"], log["logIndex"],
            *log["topics"],
        )  # fmt: skip
    except (KeyError, TypeError):
        return False
    return set(map(type, texts)) <= _TEXT


def _only(check: Callable[[Any], bool]) -> _Shape:
    return lambda result, _: check(result)


_SHAPES: Final[Mapping[str, _Shape]] = {
    **dict.fromkeys(
        (
            "eth_blockNumber", "eth_chainId", "eth_estimateGas", "eth_gasPrice", "eth_getBalance",
            "eth_getTransactionCount", "eth_maxPriorityFeePerGas",
        ),
        _only(is_quantity),
    ),
    **dict.fromkeys(("eth_call", "eth_getCode"), _only(is_bytes)),
    "eth_getBlockByHash": _is_block_by_hash,
    "eth_getBlockByNumber": _is_block_by_number,
    "eth_getLogs": _are_logs,
    "eth_getTransactionByHash": _is_transaction,
    "eth_getTransactionReceipt": _is_receipt,
    "eth_sendRawTransaction": _only(is_hash),
}  # fmt: skip
