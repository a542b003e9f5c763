"""The services' answers as JSON: the domain's wire forms, and beside every number for machines one for people.

Money gets a twin ``…Human``, an instant ``…At`` a twin ``…Time`` in ISO-8601 UTC. ``docs/reference/http.md`` says the same in tables.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from marketplace.domain.ids import sha256_in
from marketplace.domain.models import GpuClass, Lease, LeaseStatus, MarketTerms, SignedOrder
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.reputation import HALF_LIFE_SECONDS, PRIOR_BAD, PRIOR_GOOD, Reputation, units_rounded_down
from marketplace.domain.spec import Machine
from marketplace.domain.units import UnixTime, iso_from_time, text_from_units
from marketplace.domain.wire import (
    block_to_wire,
    explanation_to_wire,
    lease_to_wire,
    offer_to_wire,
    order_to_wire,
    receipt_to_wire,
    reputation_to_wire,
)
from marketplace.services import answers as a

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Renderer:
    """Writes answers in one market's token."""

    terms: MarketTerms

    def money(self, name: str, units: int | None) -> Document:
        """``{"paid": "2500000", "paidHuman": "2.50 tUSD"}``; both null for None."""
        return {
            name: None if units is None else str(units),
            f"{name}Human": None if units is None else self._text(units),
        }

    def price(self, name: str, units: int | None) -> Document:
        """As money, per GPU-hour."""
        return {name: None if units is None else str(units), f"{name}Human": self._price_text(units)}

    def order(self, standing: a.OrderStanding) -> Document:
        order = standing.signed.order
        return {
            "id": standing.signed.id, "state": standing.state.value, "order": order_to_wire(order), "spec": sha256_in(order.spec),
            **instant("accepted", standing.accepted_at), **instant("withdrawn", standing.withdrawn_at),
            **self.money("worstCost", worst_cost_of(order)), "maxPriceHuman": self._price_text(order.max_price),
            "lease": self._word(standing.lease), "explanation": explanation_to_wire(standing.explanation) if standing.explanation else None,
            "block": block_to_wire(standing.block),
        }  # fmt: skip

    def offer(self, row: a.OfferRow, now: UnixTime) -> Document:
        offer = row.offer
        return {
            **offer_to_wire(offer), "className": _class_name(row), **self.price("price", offer.price), "alive": offer.is_alive(now),
            "expiresTime": iso(offer.expires_at), "machine": _machine(row.machine), **heartbeat(row.last_heartbeat),
            "reliabilityBps": row.reliability_bps,
        }  # fmt: skip

    def quote(self, row: a.QuoteRow, now: UnixTime) -> Document:
        return {
            "offer": self.offer(row.row, now), "className": _class_name(row.row), **self.money("locked", row.locked),
            **self.money("bond", row.bond), "reason": str(row.reason), "detail": row.detail,
        }  # fmt: skip

    def book(self, side: a.BookSide) -> Document:
        return {
            "class": side.gpu_class.number, "className": side.gpu_class.name, "block": block_to_wire(side.block),
            "asks": [self.offer(row, side.block.timestamp) for row in side.asks], "bids": [self._bid(bid) for bid in side.bids],
        }  # fmt: skip

    def class_price(self, price: a.ClassPrice) -> Document:
        return {
            "class": price.gpu_class.number, "className": price.gpu_class.name, **self.money("paid", price.paid),
            "gpuSeconds": price.gpu_seconds, **self.price("average", price.average_rounded_down),
            **self.price("lowestAsk", price.lowest_ask), "gpusFree": price.gpus_free, "block": block_to_wire(price.block),
        }  # fmt: skip

    def lease(self, view: a.LeaseView) -> Document:
        record = view.record
        return {
            **lease_to_wire(record), **self.price("price", record.lease.price), **self.money("paid", record.paid),
            **self.money("refund", record.refund), **self.money("compensation", record.compensation),
            "openedTime": iso(record.lease.opened_at), "deadline": view.deadline,
            "deadlineTime": None if view.deadline is None else iso(view.deadline), **heartbeat(view.last_heartbeat),
            "block": block_to_wire(view.block),
        }  # fmt: skip

    def account(self, view: a.AccountView) -> Document:
        return {
            "address": view.address, **self.money("free", view.free), **self.money("locked", view.locked),
            "liveLeases": list(view.live_leases), "block": block_to_wire(view.block),
        }  # fmt: skip

    def provider(self, view: a.ProviderView) -> Document:
        return {
            "address": view.address, "offers": [self.offer(row, view.block.timestamp) for row in view.offers],
            "liveLeases": view.live_leases, **heartbeat(view.last_heartbeat), "reputation": self._reputation(view.reputation),
            "block": block_to_wire(view.block),
        }  # fmt: skip

    def _reputation(self, reputation: Reputation) -> Document:
        """With what the weights are in money, and what is assumed before there is any evidence."""
        document = reputation_to_wire(reputation)
        for told in document["outcomes"].values():
            told |= self._weight("weight", int(told["weight"]))
        return {
            "reliabilityBps": reputation.score_bps(reputation.as_of), **document, **self._weight("heard", reputation.heard),
            **self._weight("failed", reputation.failed), **self._weight("priorGood", PRIOR_GOOD),
            **self._weight("priorBad", PRIOR_BAD), "halfLifeSeconds": HALF_LIFE_SECONDS,
        }  # fmt: skip

    def _weight(self, name: str, weight: int) -> Document:
        units = units_rounded_down(weight, self.terms.bond_floor)
        return {name: str(weight), f"{name}Human": self._text(units)}

    def _bid(self, signed: SignedOrder) -> Document:
        """Without the signature: who wants it has the order's id, and the opener has the journal."""
        order = signed.order
        return {
            "id": signed.id, "gpus": order.gpus, "maxSeconds": order.max_seconds, **self.price("maxPrice", order.max_price),
            "expiresAt": order.expires_at, "expiresTime": iso(order.expires_at),
        }  # fmt: skip

    def _word(self, lease: Lease) -> Document | None:
        if lease.status is LeaseStatus.NONE:
            return None
        return {
            "status": lease.status.name.capitalize(), "offer": lease.offer, **self.price("price", lease.price),
            "openedAt": lease.opened_at, "paidSeconds": lease.paid_seconds,
        }  # fmt: skip

    def _text(self, units: int) -> str:
        return f"{text_from_units(units, self.terms.token_decimals)} {self.terms.token_symbol}"

    def _price_text(self, units: int | None) -> str | None:
        return None if units is None else f"{self._text(units)}/GPU-h"


def to_json(document: Any) -> bytes:
    """The bytes of an answer; ASCII, so that nothing in it can break on the way."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def iso(at: int) -> str | None:
    """ISO-8601 UTC; None for instants beyond the year 9999, which 40 bits can hold and calendars cannot."""
    return iso_from_time(at) if at <= _LAST_INSTANT else None


_LAST_INSTANT = 253_402_300_799


def instant(name: str, at: int | None) -> Document:
    return {f"{name}At": at, f"{name}Time": None if at is None else iso(at)}


def heartbeat(at: UnixTime | None) -> Document:
    return {"lastHeartbeat": at, "lastHeartbeatTime": None if at is None else iso(at)}


def signed_beat(beat: a.SignedBeat) -> Document:
    return {
        "provider": beat.provider, "offer": beat.offer, "at": beat.at, "atTime": iso(beat.at), "signature": beat.signature,
    }  # fmt: skip


def gpu_class(row: GpuClass) -> Document:
    return {"class": row.number, "name": row.name, "vramMib": row.vram_mib}


def receipt(row: a.ReceiptRow) -> Document:
    return {
        "role": row.role, "receipt": receipt_to_wire(row.receipt), "signature": row.signature, "at": row.at, "atTime": iso(row.at),
    }  # fmt: skip


def outputs(found: a.Outputs) -> Document:
    document = json.loads(found.result.canonical())
    present = {name: name in found.present for name in found.result.blobs()}
    return {"lease": found.lease, "resultSha256": found.sha256, "result": document, "blobs": present}


def _class_name(row: a.OfferRow) -> str:
    return row.gpu_class.name if row.gpu_class else f"class {row.offer.gpu_class}"


def _machine(machine: Machine | None) -> Document | None:
    """The description as its provider wrote it; ``measured`` false means that nobody looked."""
    document: Document | None = None if machine is None else json.loads(machine.canonical())
    return document
