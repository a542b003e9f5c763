"""The JSON that ``--json`` prints: what a gateway told, as it told it, and what only a client knows, spelled likewise.

Names are as in the ABI and over HTTP. Money is base units as a decimal string, ``paid``, beside words for people, ``paidHuman``; an instant is Unix
seconds, ``since``, beside ``sinceTime``; a ``block`` has number, hash and time. What is named by its hash keeps the names that were hashed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import msgspec

from marketplace.api import record
from marketplace.api.accounts import ProviderAnswer
from marketplace.api.offers import OfferTold
from marketplace.api.quotes import QuoteTold
from marketplace.chain.transactions import Mined
from marketplace.client.group import JobGroup
from marketplace.client.job import Job
from marketplace.client.job_summary import Attempt, Balance, JobResult, JobSummary
from marketplace.client.spending import Opening, Sums
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import Budget
from marketplace.domain.events import Event
from marketplace.domain.ids import Address
from marketplace.domain.market import MarketTerms
from marketplace.domain.measurements import Measurement
from marketplace.domain.pricing import worst_cost_of
from marketplace.domain.results import EndedReason
from marketplace.domain.spec import Group
from marketplace.domain.states import JobEvent
from marketplace.domain.units import COIN_DECIMALS, PricePerGpuHour, TokenUnits, UnixTime, text_from_units
from marketplace.domain.wire import block_to_wire, camel, event_to_wire


def told(answer: record.Record) -> dict[str, Any]:
    """What a gateway told, as it told it."""
    read: dict[str, Any] = msgspec.json.decode(record.to_json(answer))
    return read


def money(name: str, units: int | None, terms: MarketTerms) -> dict[str, str | None]:
    """An amount: ``{"paid": "2500000", "paidHuman": "2.50 tUSD"}``; both null for None."""
    if units is None:
        return {name: None, f"{name}Human": None}
    return {name: str(units), f"{name}Human": record.money(units, terms)}


def price(name: str, units: PricePerGpuHour | None, terms: MarketTerms) -> dict[str, str | None]:
    """A price per GPU-hour: ``{"price": "400000", "priceHuman": "0.40 tUSD/GPU-h"}``; both null for None."""
    if units is None:
        return {name: None, f"{name}Human": None}
    return {name: str(units), f"{name}Human": record.price_text(units, terms)}


def instant(name: str, at: UnixTime) -> dict[str, Any]:
    """Unix seconds, and the time for people; that is null beyond the year 9999."""
    return {name: at, f"{name.removesuffix('At')}Time": record.iso(at)}


def fields(value: Any) -> dict[str, Any]:
    """A value's fields by the ABI's way to spell."""
    return {camel(name): field for name, field in asdict(value).items()}


def sums(value: Sums, terms: MarketTerms) -> dict[str, Any]:
    """What was paid, refunded, compensated, and what is still locked."""
    named = {name: getattr(value, name) for name in ("paid", "refunded", "compensation", "tips", "locked")}
    return _merged(money(name, units, terms) for name, units in named.items())


def balance(value: Balance, account: str, terms: MarketTerms) -> dict[str, Any]:
    """An account's money, and its coin for gas."""
    named = {name: getattr(value, name) for name in ("free", "locked", "wallet")}
    return (
        {"account": account}
        | _merged(money(name, units, terms) for name, units in named.items())
        | coin(value.coin_wei)
    )


def coin(wei: int) -> dict[str, str]:
    """The chain's own coin, in which gas is paid."""
    return {"coinWei": str(wei), "coinHuman": text_from_units(wei, COIN_DECIMALS)}


def budget(value: Budget, account: str, delegate: str, terms: MarketTerms) -> dict[str, Any]:
    """What a delegate may still spend; both zero where it may nothing."""
    return {"account": account, "delegate": delegate} | money("left", value.left, terms) | instant("until", value.until)


def offer(value: OfferTold, seen: Measurement | None) -> dict[str, Any]:
    """An offer; ``silent``: its provider is not heard of, so that it gets no work now. Without a ``measurement`` nobody looked."""
    return told(value) | _measured(seen)


def quote(value: QuoteTold, seen: Measurement | None, warm: frozenset[Address] | None = None) -> dict[str, Any]:
    """What an offer would cost, or why it cannot serve. ``imageIsWarm`` is null where no image was named."""
    is_warm = None if warm is None else value.offer.provider in warm
    return told(value) | _measured(seen) | {"imageIsWarm": is_warm}


def _measured(seen: Measurement | None) -> dict[str, Any]:
    """The document is named by its hash, and keeps its spelling."""
    return {"measured": seen is not None, "measurement": seen and seen.document()}


def reputation(value: ProviderAnswer, is_same: bool | None) -> dict[str, Any]:
    """A provider's score with its evidence. ``isWhatTheChainSays`` is null where nobody looked."""
    return told(value) | {"isWhatTheChainSays": is_same}


def fees(
    arbiter: Address, panel: Address, amount: TokenUnits, mined: Mined | None, block: BlockRef, terms: MarketTerms
) -> dict[str, Any]:
    """What an arbiter's panel was paid. ``transaction`` is null where there was nothing to pay."""
    where = {"transaction": mined and mined.tx_hash, "block": block_to_wire(block)}
    return {"arbiter": arbiter, "panel": panel} | money("amount", amount, terms) | where


def event_of(lease: str, mined: Mined, said: Event) -> dict[str, Any]:
    """What a transaction did to a lease: the contract's own event, by the ABI's names."""
    where = {
        "lease": lease,
        "transaction": mined.tx_hash,
        "block": block_to_wire(mined.block),
        "event": type(said).__name__,
    }
    return where | {name: value for name, value in event_to_wire(said)["fields"].items() if name not in where}


def event(value: JobEvent) -> dict[str, Any]:
    """One step of a job's life."""
    return {"state": value.state, **instant("at", value.at), "reason": value.reason, "note": value.note}


def signed(opener: Address, arbiter: Address, worst_cost: TokenUnits, terms: MarketTerms) -> dict[str, Any]:
    """What an order's signature commits to beside the work: who may open it, who rules, and the most that its lease can cost."""
    return {"opener": opener, "arbiter": arbiter, **money("worstCost", worst_cost, terms)}


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
        **instant("since", last.at),
        "reason": last.reason,
        "note": last.note,
        "ended": _ended(value.ended),
        "posted": value.is_posted,
        "standsStill": value.note,
        **signed(value.signed.opener, value.signed.arbiter, worst_cost_of(value.signed), terms),
        **sums(value.sums(), terms),
        **fields(kept.terms),
    }


def group(value: JobGroup, nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A job of several nodes, and the documents of its nodes by rank."""
    return {"group": value.id, "state": value.state, "failure": value.failure, "nodes": list(nodes)}


def result(value: JobResult, terms: MarketTerms) -> dict[str, Any]:
    """The receipt of a job."""
    return {
        "lease": value.lease,
        "exitCode": value.exit_code,
        "ended": _ended(value.ended),
        "usedSeconds": value.used_seconds,
        **price("price", value.price, terms),
        **money("cost", value.cost, terms),
        "provider": value.provider,
        "result": value.result,
        "outputs": [fields(output) for output in value.outputs],
        "log": fields(value.log),
        "isCountersigned": value.is_countersigned,
    }


def attempt(value: Attempt, terms: MarketTerms) -> dict[str, Any]:
    """One order of a job."""
    return {
        "order": value.order,
        "number": value.number,
        **price("maxPrice", value.max_price, terms),
        **signed(value.opener, value.arbiter, value.worst_cost, terms),
        "provider": value.provider,
        "exit": value.exit,
        "servings": [_serving(serving, terms) for serving in value.servings],
        **sums(value.sums, terms),
        "posted": value.is_posted,
        "note": value.note,
    }


def job_summary(value: JobSummary, terms: MarketTerms) -> dict[str, Any]:
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
        "isSettled": value.is_settled,
        "explanation": told(value.explanation) if value.explanation else None,
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
    return (
        fields(replace(value, exit=None))
        | instant("openedAt", value.opened_at)
        | ended
        | price("price", value.price, terms)
    )
