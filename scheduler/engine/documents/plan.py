"""What a round decided. A plan is a proposal: the contract is the referee, and may refuse any part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import Explanation
from marketplace.domain.fills import Fill
from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.units import GpuCount, PricePerGpuHour
from scheduler.engine.documents.forms import WORD, Form, encoded, listed, number, object_of, units
from scheduler.engine.documents.records import BLOCK, CLASSES, COUNT, GPUS, OFFERS
from scheduler.engine.documents.snapshot import Snapshot

PLAN_VERSION = 2


class PoolPrice(NamedTuple):
    """What GPUs of one class cost on offers that no order told apart, with equally many free (``price``)."""

    gpu_class: ClassNumber
    first_offer: OfferId
    """The smallest number among these offers."""
    free: GpuCount
    """GPUs free on each of them before the round."""
    price: PricePerGpuHour
    gpus: GpuCount
    """GPUs sold on them."""


class Explains(Protocol):
    """Tells where an order stands after a plan."""

    def of(self, order: Bytes32, fills: Mapping[Bytes32, Fill], prices: tuple[PoolPrice, ...]) -> Explanation: ...


@dataclass(frozen=True)
class Plan:
    """The fills of a round and its prices; and, when asked, where every order of the book stands, placed or not."""

    source: Snapshot
    block: BlockRef
    chain_id: int
    market: Address
    opener: Address
    fills: Sequence[Fill]
    """In the order in which they are to be opened, the orders of a group side by side."""
    prices: tuple[PoolPrice, ...]
    explainer: Explains

    @cached_property
    def snapshot(self) -> Sha256:
        """The snapshot that it was made from (``Snapshot.sha256``)."""
        return self.source.sha256

    @cached_property
    def _fills(self) -> dict[Bytes32, Fill]:
        return {fill.signed.id: fill for fill in self.fills}

    def explanation(self, order: Bytes32) -> Explanation:
        """Where an order of the book stands. It is worked out when asked for: a pure function of snapshot and plan, like the plan of the snapshot."""
        return self.explainer.of(order, self._fills, self.prices)

    @property
    def rejections(self) -> tuple[Explanation, ...]:
        """Why each of the others was not placed, by order id."""
        ids = sorted(order.id for order in self.source.view.orders if order.id not in self._fills)
        return tuple(self.explanation(order) for order in ids)

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Where every order of the book stands: the placed ones in the order of the fills, then the rest by id."""
        return (*(self.explanation(fill.signed.id) for fill in self.fills), *self.rejections)

    def canonical(self) -> bytes:
        """The round's canonical JSON: equal snapshots give equal bytes."""
        return self._written

    @cached_property
    def _written(self) -> bytes:
        return encoded(object_of(_parts(self)), "plan")

    @cached_property
    def sha256(self) -> Sha256:
        return sha256_of(self._written)

    @property
    def round(self) -> Bytes32:
        """The word that goes with the fills to the chain: whoever holds the bytes can check them against it (P-22)."""
        return bytes32_of(self.sha256)


class PlanRow(NamedTuple):
    """A placement as the plan's document has it."""

    order: Bytes32
    offer: OfferId
    price: PricePerGpuHour


PLACEMENT = Form(PlanRow, {"order": WORD, "offer": number(OFFERS), "price": units(80)})
POOL_PRICE = Form(
    PoolPrice,
    {
        "gpu_class": ("class", number(CLASSES)), "first_offer": number(OFFERS), "free": number(GPUS), "price": units(96),
        "gpus": number(COUNT),
    },
)  # fmt: skip


def _parts(plan: Plan) -> dict[str, str]:
    """The document, part by part."""
    placements = (PlanRow(fill.signed.id, fill.offer, fill.price) for fill in plan.fills)
    return {
        "version": str(PLAN_VERSION),
        "chainId": str(plan.chain_id),
        "market": f'"{plan.market}"',
        "opener": f'"{plan.opener}"',
        "block": BLOCK.written(plan.block),
        "snapshot": f'"{plan.snapshot}"',
        "placements": listed(map(PLACEMENT.text, placements)),
        "prices": listed(map(POOL_PRICE.text, plan.prices)),
    }
