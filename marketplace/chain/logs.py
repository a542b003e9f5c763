"""What the market said, decoded into domain events, in the order of the chain.

Every event of the market has static fields only, so a log is a row of 32-byte words: the indexed fields are its topics,
the rest its content. Slicing the node's hex by a table made from the ABI is much faster than web3's own events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from marketplace.chain.contracts import Parameter, Signature, contract_abi
from marketplace.chain.reverts import refusal_of
from marketplace.domain import events
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import Event, LogRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.units import UnixTime

_Log = Mapping[str, Any]
_Reader = Callable[[str], Any]

_WORD_DIGITS = 64
_ADDRESS_PADDING = 24


def decode_logs(logs: Sequence[_Log], market: Address | None, time_of: Callable[[int], UnixTime]) -> tuple[Event, ...]:
    """The events of ``market`` among raw JSON-RPC logs, in the order of the chain; logs of anything else are left out.

    ``time_of`` tells the time of a block, from its header: what some nodes say of it in the log is in no standard, and nothing holds it to the truth.
    """
    blocks: dict[str, BlockRef] = {}
    found = [event for log in logs if log["address"].lower() == market for event in _decoded(log, blocks, time_of)]
    return tuple(sorted(found, key=_position))


def _position(event: Event) -> tuple[int, int]:
    return event.ref.block.number, event.ref.log_index


def _decoded(log: _Log, blocks: dict[str, BlockRef], time_of: Callable[[int], UnixTime]) -> Iterator[Event]:
    decoder = _decoders().get(log["topics"][0])
    if decoder is None:
        # EIP712DomainChanged and the like: nothing that the market's state depends on.
        return
    block = blocks.get(log["blockHash"])
    if block is None:
        number = int(log["blockNumber"], 16)
        block = BlockRef(number, Bytes32(log["blockHash"]), time_of(number))
        blocks[log["blockHash"]] = block
    ref = LogRef(block, Bytes32(log["transactionHash"]), int(log["logIndex"], 16))
    yield decoder.event(ref, log["topics"], log["data"])


@dataclass(frozen=True, slots=True)
class _Decoder:
    """How one event is read: a reader per word in the topics and in the content, and what makes the event of them."""

    topics: tuple[_Reader, ...]
    words: tuple[_Reader, ...]
    make: Callable[..., Event]

    def event(self, ref: LogRef, topics: Sequence[str], content: str) -> Event:
        values = [read(topic[2:]) for read, topic in zip(self.topics, topics[1:], strict=True)]
        start = 2
        for read in self.words:
            values.append(read(content[start : start + _WORD_DIGITS]))
            start += _WORD_DIGITS
        return self.make(ref, *values)


def _address(word: str) -> str:
    return "0x" + word[_ADDRESS_PADDING:]


def _bytes32(word: str) -> str:
    return "0x" + word


def _integer(word: str) -> int:
    return int(word, 16)


def _boolean(word: str) -> bool:
    return word[-1] == "1"


_READERS: Mapping[str, _Reader] = {"address": _address, "bytes32": _bytes32, "bool": _boolean}


def _reader(parameter: Parameter) -> _Reader:
    return _READERS.get(parameter.type, _integer)


def _offer_listed(ref: LogRef, offer: Any, _provider: Address, *value: Any) -> Event:
    return events.OfferListed(ref, Offer(offer, *value))


def _lease_opened(ref: LogRef, lease: Any, offer: Any, client: Any, opener: Any, price: Any, *order: Any) -> Event:
    return events.LeaseOpened(ref, lease, offer, client, opener, price, Order(*order))


def _fill_refused(ref: LogRef, order: Any, offer: Any, opener: Any, reason: int) -> Event:
    return events.FillRefused(ref, order, offer, opener, refusal_of(reason))


def _settlement_refused(ref: LogRef, lease: Any, sender: Any, reason: int) -> Event:
    return events.SettlementRefused(ref, lease, sender, refusal_of(reason))


_MAKERS: Mapping[str, Callable[..., Event]] = {
    "OfferListed": _offer_listed,
    "LeaseOpened": _lease_opened,
    "FillRefused": _fill_refused,
    "SettlementRefused": _settlement_refused,
}
"""Events that are more than their words. The others are dataclasses whose fields stand in the order of the ABI."""


@lru_cache(maxsize=1)
def _decoders() -> Mapping[str, _Decoder]:
    known = {kind.__name__: kind for kind in Event.__subclasses__()}
    listed = contract_abi("ComputeMarket").events
    return {
        "0x" + signature.hash.hex(): _decoder(signature, _MAKERS.get(name, known[name]))
        for name, signature in listed.items()
        if name in known
    }


def _decoder(signature: Signature, make: Callable[..., Event]) -> _Decoder:
    """Indexed fields come first in every event of the market, so topics and then words are the ABI's order."""
    topics = tuple(_reader(part) for part in signature.inputs if part.indexed)
    plain = [leaf for part in signature.inputs if not part.indexed for leaf in (part.parts or (part,))]
    return _Decoder(topics, tuple(_reader(leaf) for leaf in plain), make)
