"""What the gateway and the command line call the fields of an event is what the contract calls them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from marketplace.chain.contracts import contract_abi
from marketplace.domain import events
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import Event, LogRef
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.wire import event_to_wire

WHO, WORD = Address("0x" + "1" * 40), Bytes32("0x" + "2" * 64)
REF = LogRef(BlockRef(1, WORD, UnixTime(2)), WORD, 3)
OFFER = Offer(
    OfferId(7),
    WHO,
    ClassNumber(1),
    GpuCount(2),
    GpuCount(2),
    Bps(500),
    UnixTime(9),
    WHO,
    PricePerGpuHour(5),
    Seconds(0),
    WORD,
)
ORDER = Order(
    WHO, 1, OfferId(0), GpuCount(1), Seconds(60), Seconds(0), PricePerGpuHour(10), Bps(0), UnixTime(0), UnixTime(99),
    TokenUnits(0), WHO, WHO, WHO, WORD, 7,
)  # fmt: skip
EVENTS = [
    kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event) and kind is not Event
]
SAMPLES: dict[str, Any] = {"Offer": OFFER, "Order": ORDER, "Refusal": Refusal.NotLive}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_an_events_fields_are_the_abis(kind: Any) -> None:
    """In the contract's order, ``from`` where Python has to say ``sender``; nothing more and nothing less."""
    event = kind(REF, *(SAMPLES.get(str(field.type), 1) for field in fields(kind)[1:]))

    declared = {**contract_abi("SpvFactory").events, **contract_abi("ComputeMarket").events}[kind.__name__]
    assert list(event_to_wire(event)["fields"]) == [part.name for part in declared.inputs]
