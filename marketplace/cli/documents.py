"""The JSON that ``--json`` prints. Money is base units as a decimal string, beside a string for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from msgspec import to_builtins

from marketplace.api.accounts import ProviderAnswer
from marketplace.api.market import MarketAnswer
from marketplace.api.offers import OfferTold
from marketplace.api.quotes import QuoteTold
from marketplace.chain.transactions import Mined
from marketplace.client.group import JobGroup
from marketplace.client.job import Job
from marketplace.client.spending import Opening, Sums
from marketplace.client.story import Attempt, Balance, JobResult, JobStory
from marketplace.domain.book import is_silent
from marketplace.domain.budgets import Budget
from marketplace.domain.events import Event
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.measurements import Measurement
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.reputation import HALF_LIFE_SECONDS, PRIOR_BAD, PRIOR_GOOD, units_rounded_down
from marketplace.domain.results import EndedReason
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent
from marketplace.domain.units import COIN_DECIMALS, TokenUnits, UnixTime, iso_from_time, text_from_units
from marketplace.domain.wire import event_to_wire, offer_to_wire


def money(name: str, units: int | None, terms: MarketTerms) -> dict[str, str | None]:
    """An amount, or a price per GPU-hour: ``{"paid": "2500000", "paid_human": "2.50 TUSD"}``; both null for None."""
    if units is None:
        return {name: None, f"{name}_human": None}
    return {name: str(units), f"{name}_human": f"{text_from_units(units, terms.token_decimals)} {terms.token_symbol}"}


def sums(value: Sums, terms: MarketTerms) -> dict[str, Any]:
    """What was paid, refunded, compensated, and what is still locked."""
    named = {name: getattr(value, name) for name in ("paid", "refunded", "compensation", "tips", "locked")}
    return _merged(money(name, units, terms) for name, units in named.items())


def balance(value: Balance, account: str, terms: MarketTerms) -> dict[str, Any]:
    """An account's money, and its coin for gas."""
    named = {name: getattr(value, name) for name in ("free", "locked", "wallet")}
    coin = {"coin_wei": str(value.coin_wei), "coin_human": text_from_units(value.coin_wei, COIN_DECIMALS)}
    return {"account": account} | _merged(money(name, units, terms) for name, units in named.items()) | coin


def budget(value: Budget, account: str, delegate: str, terms: MarketTerms) -> dict[str, Any]:
    """What a delegate may still spend; both zero where it may nothing."""
    return {"account": account, "delegate": delegate} | money("left", value.left, terms) | {"until": value.until}


def offer(value: OfferTold, now: UnixTime, seen: Measurement | None) -> dict[str, Any]:
    """An offer as it is on the wire, with its machine; without a ``measurement`` nobody looked, ``silent`` means that it gets no work now."""
    machine = value.machine
    return offer_to_wire(value.offer) | {
        "className": value.class_name,
        "region": machine.region if machine else None,
        "measured": seen is not None,
        "measurement": seen and seen.document(),
        "machine": asdict(machine) if machine else None,
        "lastHeartbeat": value.last_heartbeat,
        "silent": is_silent(value.last_heartbeat, now),
        "reliabilityBps": value.reliability_bps,
    }


def market(value: MarketAnswer) -> dict[str, Any]:
    """Which market it is; opener and arbiter are the gateway's word."""
    terms = value.terms
    return {
        "chain_id": terms.chain_id,
        "market": terms.market,
        "token": terms.token,
        "symbol": terms.token_symbol,
        "catalogue": value.catalogue,
        "opener": value.opener,
        "arbiter": value.arbiter,
        "start_grace": terms.start_grace,
        "claim_grace": terms.claim_grace,
        "challenge_window": terms.challenge_window,
        "ruling_window": terms.ruling_window,
        **money("bond_floor", terms.bond_floor, terms),
        "block": value.block.number,
    }


def reputation(value: ProviderAnswer, terms: MarketTerms, is_same: bool | None) -> dict[str, Any]:
    """A provider's score with its evidence; weights in money. ``is_what_the_chain_says`` is null where nobody looked."""
    told, floor = value.reputation, terms.bond_floor

    def weighed(name: str, weight: int) -> dict[str, str | None]:
        return money(name, units_rounded_down(weight, floor), terms)

    return {
        "provider": value.address,
        "reliability_bps": told.score_bps(value.block.timestamp),
        "outcomes": {
            outcome.value: {"count": tally.count} | weighed("weight", tally.weight)
            for outcome, tally in told.tallies.items()
        },
        **weighed("heard", told.heard),
        **weighed("failed", told.failed),
        **weighed("prior_good", PRIOR_GOOD),
        **weighed("prior_bad", PRIOR_BAD),
        "half_life_seconds": HALF_LIFE_SECONDS,
        "last_heartbeat": value.last_heartbeat,
        "live_leases": value.live_leases,
        "offers": [one.id for one in value.offers],
        "block": value.block.number,
        "is_what_the_chain_says": is_same,
    }


def quote(value: QuoteTold, terms: MarketTerms, seen: Measurement | None) -> dict[str, Any]:
    """What an offer would cost, or why it cannot serve."""
    return {
        "offer": offer_to_wire(value.offer.offer),
        "class_name": value.class_name,
        "measured": seen is not None,
        "measurement": seen and seen.document(),
        **money("price", value.offer.price, terms),
        "can_serve": value.can_serve,
        **money("locked", value.locked, terms),
        **money("bond", value.bond, terms),
        "reason": value.reason,
        "detail": value.detail,
    }


def event_of(lease: str, mined: Mined, said: Event) -> dict[str, Any]:
    """What a transaction did to a lease: the contract's own event, by the ABI's names."""
    where = {"lease": lease, "transaction": mined.tx_hash, "block": mined.block.number, "event": type(said).__name__}
    return where | {name: value for name, value in event_to_wire(said)["fields"].items() if name not in where}


def event(value: JobEvent) -> dict[str, Any]:
    """One step of a job's life."""
    return {"state": value.state, "at": iso_from_time(value.at), "reason": value.reason, "note": value.note}


def signed(opener: Address, arbiter: Address, worst_cost: TokenUnits, terms: MarketTerms) -> dict[str, Any]:
    """What an order's signature commits to beside the work: who may open it, who rules, and the most that its lease can cost."""
    return {"opener": opener, "arbiter": arbiter, **money("worst_cost", worst_cost, terms)}


def job(value: Job, terms: MarketTerms) -> dict[str, Any]:
    """A job in a list."""
    kept = value.kept
    last = kept.job.history[-1]
    return {
        "id": value.id,
        "number": kept.number,
        "name": kept.job.name,
        "group": _node(kept.group),
        "state": kept.job.state,
        "orders": list(kept.job.orders),
        "since": iso_from_time(last.at),
        "reason": last.reason,
        "note": last.note,
        "ended": _ended(value.ended),
        "posted": value.is_posted,
        "stands_still": value.note,
        **signed(value.signed.opener, value.signed.arbiter, worst_cost_of(value.signed), terms),
        **sums(value.sums(), terms),
        **asdict(kept.terms),
    }


def group(value: JobGroup, nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A job of several nodes, and the documents of its nodes by rank."""
    return {"group": value.id, "state": value.state, "failure": value.failure, "nodes": list(nodes)}


def result(value: JobResult, terms: MarketTerms) -> dict[str, Any]:
    """The receipt of a job."""
    return {
        "lease": value.lease,
        "exit_code": value.exit_code,
        "ended": _ended(value.ended),
        "used_seconds": value.used_seconds,
        **money("price", value.price, terms),
        **money("cost", value.cost, terms),
        "provider": value.provider,
        "result": value.result,
        "outputs": [asdict(output) for output in value.outputs],
        "log": asdict(value.log),
        "is_countersigned": value.is_countersigned,
    }


def attempt(value: Attempt, terms: MarketTerms) -> dict[str, Any]:
    """One order of a job."""
    return {
        "order": value.order,
        "number": value.number,
        **money("max_price", value.max_price, terms),
        **signed(value.opener, value.arbiter, value.worst_cost, terms),
        "provider": value.provider,
        "exit": value.exit,
        "servings": [_serving(serving, terms) for serving in value.servings],
        **sums(value.sums, terms),
        "posted": value.is_posted,
        "note": value.note,
    }


def story(value: JobStory, terms: MarketTerms) -> dict[str, Any]:
    """All there is to tell about a job."""
    return {
        "id": value.job,
        "number": value.number,
        "name": value.name,
        "group": _node(value.group),
        "command": list(value.command),
        "state": value.state,
        "history": [event(item) for item in value.history],
        "attempts": [attempt(item, terms) for item in value.attempts],
        **sums(value.sums, terms),
        "is_settled": value.is_settled,
        "explanation": to_builtins(value.explanation) if value.explanation else None,
        "result": result(value.result, terms) if value.result else None,
    }


def _ended(value: EndedReason | None) -> dict[str, str] | None:
    """Whose doing the end was, and why; null while nobody said."""
    return {"by": value.by, "reason": value} if value else None


def _node(value: Group | None) -> dict[str, Any] | None:
    return asdict(value) if value else None


def _merged(parts: Iterable[dict[str, str | None]]) -> dict[str, str | None]:
    return {name: text for part in parts for name, text in part.items()}


def _serving(value: Opening, terms: MarketTerms) -> dict[str, Any]:
    ended = {"exit": type(value.exit).__name__ if value.exit else ""}
    return asdict(replace(value, exit=None)) | ended | money("price", value.price, terms)
