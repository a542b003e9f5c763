"""What a round decided. A plan is a proposal: the contract is the referee, and may refuse any part of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marketplace.domain.book import Explanation, RejectionReason
from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import Address, Bytes32, Sha256, bytes32_of, sha256_of
from marketplace.domain.models import BlockRef, Fill
from marketplace.domain.wire import block_to_wire

PLAN_VERSION = 1


@dataclass(frozen=True, slots=True)
class Placement:
    """An order that goes to an offer at a price, and why there."""

    fill: Fill
    why: Explanation


@dataclass(frozen=True, slots=True)
class Plan:
    """Every order of the book exactly once: placed, in the order in which the fills are to be opened, or explained."""

    block: BlockRef
    chain_id: int
    market: Address
    opener: Address
    snapshot: Sha256
    """The snapshot that it was made from (``Snapshot.sha256``)."""
    placements: tuple[Placement, ...]
    rejections: tuple[Explanation, ...]
    """By order id."""

    @property
    def fills(self) -> tuple[Fill, ...]:
        return tuple(placement.fill for placement in self.placements)

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """Where every order of the book stands."""
        return (*(placement.why for placement in self.placements), *self.rejections)

    def canonical(self) -> bytes:
        """The round's canonical JSON: equal snapshots give equal bytes."""
        return canonical_json(_document(self))

    @property
    def sha256(self) -> Sha256:
        return sha256_of(self.canonical())

    @property
    def round(self) -> Bytes32:
        """The word that goes with the fills to the chain: whoever holds the bytes can check them against it (P-22)."""
        return bytes32_of(self.sha256)


def _document(plan: Plan) -> dict[str, Any]:
    return {
        "version": PLAN_VERSION,
        "chainId": plan.chain_id,
        "market": plan.market,
        "opener": plan.opener,
        "block": block_to_wire(plan.block),
        "snapshot": plan.snapshot,
        "placements": [
            {
                "order": placement.fill.signed.id,
                "offer": placement.fill.offer,
                "price": str(placement.fill.price),
                "reasons": _reasons(placement.why.reasons),
            }
            for placement in plan.placements
        ],
        "rejections": [
            {"order": why.order, "reasons": _reasons(why.reasons), "nearestMiss": why.nearest_miss}
            for why in plan.rejections
        ],
    }


def _reasons(reasons: Mapping[RejectionReason, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in reasons.items()}
