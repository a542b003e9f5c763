"""Following what the market says: decoded, confirmed, page by page."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any

import pytest
from eth_abi.abi import encode

from marketplace.chain import verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import ANVIL_KEYS, mine
from marketplace.chain.events import decode_logs
from marketplace.domain import events
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import Event, LogRef
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.domain.wire import camel

MARKET = Address("0x" + "c0" * 20)
BLOCK = BlockRef(7, Bytes32("0x" + "b1" * 32), UnixTime(1_700_000_000))
REF = LogRef(BLOCK, Bytes32("0x" + "7a" * 32), 3)
KINDS = {kind.__name__: kind for kind in Event.__subclasses__() if kind.__name__ != "SpvCreated"}
"""Those of the market: its factory's ``test_company_logs`` reads."""
RENAMED = {"from": "sender", "to": "to"}
"""Words of the ABI that Python keeps for itself."""


def sample(kind: str, number: int) -> Any:
    """A value that no other field has, in the form of the domain."""
    if kind == "address":
        return "0x" + f"{number:02x}" * 20
    if kind == "bytes32":
        return "0x" + f"{number:02x}" * 32
    return bool(number % 2) if kind == "bool" else 20 if kind == "uint8" else number


def raw(kind: str, value: Any) -> bytes:
    return encode([kind], [bytes.fromhex(value[2:]) if kind == "bytes32" else value])


def log_of(name: str) -> tuple[dict[str, Any], list[Any]]:
    """A log of that event as a node gives it, and its values in the order of the ABI."""
    signature, topics, content = contract_abi("ComputeMarket").events[name], list[bytes](), b""
    values: list[Any] = []
    for part in signature.inputs:
        for leaf in part.parts or (part,):
            values.append(sample(leaf.type, len(values) + 1))
            word = raw(leaf.type, values[-1])
            topics += [word] if part.indexed else []
            content += b"" if part.indexed else word
    log = {
        "address": MARKET, "topics": ["0x" + signature.hash.hex(), *("0x" + topic.hex() for topic in topics)],
        "data": "0x" + content.hex(), "blockNumber": "0x7", "blockHash": BLOCK.hash, "transactionHash": REF.tx_hash,
        "logIndex": "0x3", "blockTimestamp": hex(BLOCK.timestamp + 1),
    }  # fmt: skip
    return log, values


def flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_event_is_decoded_field_by_field(name: str) -> None:
    """Each value lands in the field of its name."""
    log, values = log_of(name)
    (event,) = decode_logs([log], MARKET, lambda _: BLOCK.timestamp)
    found = [leaf for item in fields(event)[1:] for leaf in flat(as_values(getattr(event, item.name)))]

    assert type(event) is KINDS[name]
    assert event.ref == REF
    if isinstance(event, events.OfferListed):
        # The provider stands in it twice, as a topic and in the struct.
        values.pop(1)
    assert found == values


def as_values(value: Any) -> Any:
    return astuple(value) if hasattr(value, "__dataclass_fields__") else value


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"OfferListed"}))
def test_events_have_the_names_of_the_abi(name: str) -> None:
    """The domain's fields stand in the ABI's order and under its names."""
    inputs = [part.name for part in contract_abi("ComputeMarket").events[name].inputs]

    assert [camel(item.name) for item in fields(KINDS[name])[1:]] == [RENAMED.get(word, word) for word in inputs]


def test_the_domain_knows_every_event_of_the_market() -> None:
    """EIP-712's own event is the only one that is left out: the market never emits it."""
    assert set(contract_abi("ComputeMarket").events) - set(KINDS) == {"EIP712DomainChanged"}


def test_logs_come_out_in_the_order_of_the_chain_and_strangers_stay_out() -> None:
    """Another contract's log, and one of an unknown kind, are nobody's event; order is by block, then place."""
    log, _ = log_of("LeaseClaimed")
    stranger = log | {"address": "0x" + "dd" * 20}
    unknown = log | {"topics": ["0x" + "ee" * 32]}
    places = [("0x9", "0x0"), ("0x8", "0x10"), ("0x8", "0x2")]
    shuffled = [
        log | {"blockNumber": block, "logIndex": at, "blockHash": "0x" + block[2:] * 64} for block, at in places
    ]

    found = decode_logs([*shuffled, stranger, unknown], MARKET, lambda _: UnixTime(0))

    assert [(event.ref.block.number, event.ref.log_index) for event in found] == [(8, 2), (8, 16), (9, 0)]


def test_the_time_of_a_block_is_asked_once_whatever_its_logs_say_of_it() -> None:
    """What a log says of its block's time is not believed."""
    log, _ = log_of("LeaseClaimed")
    asked: list[int] = []

    def time_of(number: int) -> UnixTime:
        asked.append(number)
        return UnixTime(5)

    found = decode_logs([log, log | {"logIndex": "0x4"}], MARKET, time_of)

    assert [event.ref.block.timestamp for event in found] == [5, 5]
    assert asked == [7]


def deposit(trading: Any, amount: int) -> None:
    trading.send(trading.client, verbs.deposit(trading.market.address, trading.client.address, TokenUnits(amount)))


def test_a_cursor_reads_everything_once(trading: Any, chain: Chain) -> None:
    """Page by page or at one go, the events are the same, and after them there is nothing new."""
    trading.fund(trading.client, 10**6)
    trading.send(trading.client, verbs.mint(trading.book.token, trading.client.address, TokenUnits(10**6)))
    trading.send(trading.client, verbs.approve(trading.book.token, trading.book.market, TokenUnits(10**6)))
    for amount in range(1, 6):
        deposit(trading, amount)
        mine(chain, amount)
    follower, cursor = trading.follower(), trading.book.deployed_at_block
    whole, paged = follower.read(cursor), []

    while True:
        page = follower.read(cursor, limit_blocks=3)
        if page.upto is None:
            break
        assert page.upto.number <= cursor + 2
        paged += page.events
        cursor = page.upto.number + 1

    assert [event.amount for event in whole.events] == [10**6, 1, 2, 3, 4, 5]
    assert tuple(paged) == whole.events
    assert whole.upto == chain.head()
    assert page.events == ()


def test_an_event_is_held_back_until_it_is_confirmed(trading: Any, chain: Chain) -> None:
    """With three confirmations, two more blocks have to stand on it."""
    trading.fund(trading.client, 10**6)
    follower, at = trading.follower(confirmations=3), chain.head().number

    assert follower.read(at).upto is None
    mine(chain)
    assert follower.read(at).upto is None
    mine(chain)

    page = follower.read(at)
    assert [type(event) for event in page.events] == [events.Deposited]
    assert page.upto is not None
    assert page.upto.number == at


def test_an_event_tells_where_it_stands(trading: Any) -> None:
    """Sender and follower name the same place, which makes handlers idempotent."""
    trading.fund(trading.client, 10**6)
    (read,) = trading.follower().read(trading.book.deployed_at_block).events
    trading.send(ANVIL_KEYS[5], verbs.mint(trading.book.token, ANVIL_KEYS[5].address, TokenUnits(1)))
    trading.send(ANVIL_KEYS[5], verbs.approve(trading.book.token, trading.book.market, TokenUnits(1)))
    mined = trading.send(ANVIL_KEYS[5], verbs.deposit(trading.market.address, ANVIL_KEYS[5].address, TokenUnits(1)))
    (again,) = trading.follower().read(mined.block.number).events

    assert mined.events == (again,)
    assert again.ref.block == mined.block == trading.chain.block(mined.block.number)
    assert again.ref.tx_hash == mined.tx_hash != read.ref.tx_hash


def test_refusals_are_typed() -> None:
    """A reason is a name, never a bare number."""
    log, _ = log_of("FillRefused")
    (event,) = decode_logs([log], MARKET, lambda _: UnixTime(0))

    assert isinstance(event, events.FillRefused)
    assert event.reason is Refusal.TooSoon
