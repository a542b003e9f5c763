"""How rows stand on the board: compact JSON in the wire forms, equal rows as equal text, so that digests can be compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import BookOrder, Faults, RefusedFill
from marketplace.domain.budgets import Budget
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.ledger import Delegation, LeaseRecord
from marketplace.domain.market import Volume
from marketplace.domain.offers import Offer
from marketplace.domain.orders import SignedOrder
from marketplace.domain.refusals import Refusal
from marketplace.domain.reputation import Standing
from marketplace.domain.spec import JobSpec, Machine, read_machine, read_spec
from marketplace.domain.units import GpuSeconds, TokenUnits, UnixTime
from marketplace.domain.wire import (
    block_from_wire,
    block_to_wire,
    lease_from_wire,
    lease_to_wire,
    offer_from_wire,
    offer_to_wire,
    order_from_wire,
    order_to_wire,
    reputation_from_wire,
    reputation_to_wire,
)

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode
"""Made once: ``json.dumps`` makes one for each row."""


def text_of(value: Any) -> str:
    """JSON, the same text for the same value."""
    return _encode(value)


def block_text(block: BlockRef) -> str:
    return text_of(block_to_wire(block))


def block_in(text: bytes) -> BlockRef:
    return block_from_wire(json.loads(text))


def offer_text(offer: Offer) -> str:
    return text_of(offer_to_wire(offer))


def offer_in(text: bytes) -> Offer:
    return offer_from_wire(json.loads(text))


def lease_text(record: LeaseRecord) -> str:
    return text_of(lease_to_wire(record))


def lease_in(text: bytes) -> LeaseRecord:
    return lease_from_wire(json.loads(text))


def book_order_text(entry: BookOrder) -> str:
    signed = entry.signed
    return text_of(
        {
            "id": signed.id, "order": order_to_wire(signed.order), "signature": signed.signature,
            "spec": entry.spec.canonical().decode(), "acceptedAt": entry.accepted_at, "delegate": entry.delegate,
        }
    )  # fmt: skip


def spec_in(text: str) -> JobSpec:
    return read_spec(text.encode())


def book_order_in(text: bytes, spec_in: Callable[[str], JobSpec] = spec_in) -> BookOrder:
    row = json.loads(text)
    signed = SignedOrder(Bytes32(row["id"]), order_from_wire(row["order"]), row["signature"])
    delegate = Address(row["delegate"]) if row["delegate"] else None
    return BookOrder(signed, spec_in(row["spec"]), UnixTime(row["acceptedAt"]), delegate)


def budget_field(delegation: Delegation) -> str:
    """Account and delegate."""
    return ":".join(delegation)


def delegation_in(field: bytes) -> Delegation:
    account, _, delegate = field.decode().partition(":")
    return Address(account), Address(delegate)


def standing_text(standing: Standing) -> str:
    voices = {str(voice): str(weight) for voice, weight in standing.voices.items()}
    return text_of({**reputation_to_wire(standing.reputation), "voices": voices})


def standing_in(text: bytes) -> Standing:
    row = json.loads(text)
    return Standing(reputation_from_wire(row), {int(voice): int(weight) for voice, weight in row["voices"].items()})


def budget_text(budget: Budget) -> str:
    return text_of({"left": str(budget.left), "until": budget.until})


def budget_in(text: bytes) -> Budget:
    row = json.loads(text)
    return Budget(TokenUnits(int(row["left"])), UnixTime(row["until"]))


def volume_text(volume: Volume) -> str:
    return text_of({"paid": str(volume.paid), "gpuSeconds": str(volume.gpu_seconds)})


def volume_in(text: bytes) -> Volume:
    row = json.loads(text)
    return Volume(TokenUnits(int(row["paid"])), GpuSeconds(int(row["gpuSeconds"])))


def machine_text(machine: Machine) -> str:
    return machine.canonical().decode()


def machine_in(text: bytes) -> Machine:
    return read_machine(text)


def faults_text(faults: Faults) -> str:
    return text_of({"count": faults.count, "block": faults.block_number})


def faults_in(text: bytes) -> Faults:
    row = json.loads(text)
    return Faults(row["count"], row["block"])


def refused_field(order: Bytes32, offer: OfferId) -> str:
    """One row per pair: the last refusal counts."""
    return f"{order}:{offer}"


def refused_text(fill: RefusedFill) -> str:
    return text_of({"reason": fill.reason.name, "block": fill.block_number})


def refused_pair_in(field: bytes) -> tuple[Bytes32, OfferId]:
    order, _, offer = field.decode().partition(":")
    return Bytes32(order), OfferId(int(offer))


def refused_in(field: bytes, text: bytes) -> tuple[Bytes32, RefusedFill]:
    (order, offer), row = refused_pair_in(field), json.loads(text)
    return order, RefusedFill(offer, Refusal[row["reason"]], row["block"])


def beats_in(words: Mapping[bytes, bytes]) -> dict[Address, UnixTime]:
    return {Address(provider.decode()): UnixTime(int(told.split()[0])) for provider, told in words.items()}


def proofs_in(words: Mapping[bytes, bytes]) -> dict[Address, tuple[UnixTime, str]]:
    """What was signed, beside when it was: ``at signed_at signature``."""
    split = ((provider.decode(), told.decode().split()) for provider, told in words.items())
    return {Address(provider): (UnixTime(int(parts[1])), parts[2]) for provider, parts in split if len(parts) == 3}


# Rows that are read again and again ------------------------------------------------------------------------------------


ROWS_KEPT = 250_000


class RowReader:
    """Reads rows of one board: of equal texts one is read, as long as it is among the last ``ROWS_KEPT`` of its table. Threads may share it.

    Rows are values and change seldom: to read each of them again for whoever asks would be most of what a board does.
    """

    def __init__(self) -> None:
        kept = lru_cache(ROWS_KEPT)
        self.offer, self.lease, self.standing = kept(offer_in), kept(lease_in), kept(standing_in)
        self._spec = kept(spec_in)

    def book_order(self, text: bytes) -> BookOrder:
        """Many orders have one spec, which is read once."""
        return book_order_in(text, self._spec)
