"""Everything that one round may look at: frozen, and writable as canonical bytes for whoever replays the round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from marketplace.domain.book import BookOrder, BookView
from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in, sha256_of
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.models import NO_LEASE, BlockRef, Fill, GpuClass, Lease, LeaseStatus, MarketTerms, Offer
from marketplace.domain.spec import Machine
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import block_to_wire, lease_to_wire, offer_to_wire, order_to_wire
from scheduler.engine.policy import Policy

SNAPSHOT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The market as one scheduler sees it at one moment.

    ``posted`` are our own fills that the view cannot show yet (it lags behind the head): they count as done.
    ``declined`` says which providers declined an order, and when; the view knows the last one only.
    """

    view: BookView
    opener: Address
    terms: MarketTerms
    policy: Policy = field(default_factory=Policy)
    classes: tuple[GpuClass, ...] = ()
    head: BlockRef | None = None
    """The newest block, where it is not the view's own."""
    posted: tuple[Fill, ...] = ()
    declined: Mapping[Bytes32, Mapping[Address, UnixTime]] = field(default_factory=dict)

    @property
    def now(self) -> BlockRef:
        """The newest block known: its time decides what has expired, its number what is recent."""
        if self.head is None or self.head.number < self.view.block.number:
            return self.view.block
        return self.head

    @property
    def mining_times(self) -> tuple[UnixTime, UnixTime]:
        """The earliest and the latest second at which a fill of this round may be mined. It has to hold at both."""
        now = self.now.timestamp
        return UnixTime(now + 1), UnixTime(now + max(1, self.policy.mining_margin_seconds))

    def lease_of(self, order: Bytes32) -> Lease:
        record = self.view.leases.get(order)
        return record.lease if record else NO_LEASE

    def machine_of(self, offer: Offer) -> Machine | None:
        return self.view.machines.get(sha256_in(offer.spec))

    def declines_of(self, order: BookOrder) -> Mapping[Address, UnixTime]:
        """Who declined this order, and when it had been opened there."""
        known = dict(self.declined.get(order.id, {}))
        record = self.view.leases.get(order.id)
        if record and is_declined(record):
            known[record.provider] = max(record.lease.opened_at, known.get(record.provider, UnixTime(0)))
        return known

    def canonical(self) -> bytes:
        """The snapshot's canonical JSON: equal snapshots are equal bytes, whatever the order of their rows."""
        return canonical_json(_document(self))

    @property
    def sha256(self) -> Sha256:
        return sha256_of(self.canonical())


def is_declined(record: LeaseRecord) -> bool:
    """Whether the last thing that happened to this order was a ``decline``: it may be opened again (P-24)."""
    return record.exit == "LeaseDeclined" and record.lease.status is LeaseStatus.NONE


def _document(snapshot: Snapshot) -> dict[str, Any]:
    """Only what can change the plan: accounts and leases of strangers to this book are left out."""
    view = snapshot.view
    ids = {order.id for order in view.orders}
    parties = {order.signed.order.client for order in view.orders} | {offer.provider for offer in view.offers}
    return {
        "version": SNAPSHOT_VERSION,
        "chainId": snapshot.terms.chain_id,
        "market": snapshot.terms.market,
        "opener": snapshot.opener,
        "block": block_to_wire(view.block),
        "head": block_to_wire(snapshot.now),
        "policy": asdict(snapshot.policy),
        "classes": {str(row.number): row.vram_mib for row in snapshot.classes},
        "orders": [_order(order) for order in sorted(view.orders, key=lambda order: order.id)],
        "offers": [offer_to_wire(offer) for offer in sorted(view.offers, key=lambda offer: offer.id)],
        "accounts": {who: str(view.accounts[who]) for who in parties if who in view.accounts},
        "leases": {one: lease_to_wire(record) for one, record in view.leases.items() if one in ids},
        "machines": sorted(view.machines),
        "heartbeats": {who: at for who, at in view.heartbeats.items() if who in parties},
        "refused": {
            one: sorted([row.offer, row.reason.name, row.block_number] for row in rows)
            for one, rows in view.refused.items()
            if one in ids
        },
        "posted": sorted([fill.signed.id, fill.offer, str(fill.price)] for fill in snapshot.posted),
        "declined": {one: dict(who) for one, who in snapshot.declined.items() if one in ids},
    }


def _order(order: BookOrder) -> dict[str, Any]:
    """Without its signature: a snapshot may be shown to anyone, and whoever has the signature may open the order (P-22)."""
    return {"id": order.id, "order": order_to_wire(order.signed.order), "acceptedAt": order.accepted_at}
