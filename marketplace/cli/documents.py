"""The JSON that ``--json`` prints. Money is base units as a decimal string, beside a string for people."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from marketplace.client.answers import OfferAnswer, Quote
from marketplace.client.job import Job
from marketplace.client.jobbook import JobTerms
from marketplace.client.money import Sums
from marketplace.client.story import Attempt, Balance, JobResult, Story
from marketplace.domain.models import MarketTerms
from marketplace.domain.states import JobEvent
from marketplace.domain.units import iso_from_time, text_from_units
from marketplace.domain.wire import offer_to_wire


def money(units: int, terms: MarketTerms) -> dict[str, str]:
    """An amount or a price per GPU-hour."""
    return {"units": str(units), "text": f"{text_from_units(units, terms.token_decimals)} {terms.token_symbol}"}


def sums(value: Sums, terms: MarketTerms) -> dict[str, Any]:
    """What was paid, refunded, compensated, and what is still locked."""
    return {name: money(getattr(value, name), terms) for name in ("paid", "refunded", "compensation", "tips", "locked")}


def balance(value: Balance, account: str, terms: MarketTerms) -> dict[str, Any]:
    """An account's money."""
    return {"account": account} | {name: money(getattr(value, name), terms) for name in ("free", "locked", "wallet")}


def offer(value: OfferAnswer) -> dict[str, Any]:
    """An offer, with ``measured`` as its provider says."""
    machine = value.machine
    return offer_to_wire(value.offer) | {
        "className": value.class_name,
        "region": machine.region if machine else None,
        "measured": machine.measured if machine else False,
        "machine": asdict(machine) if machine else None,
        "lastHeartbeat": value.last_heartbeat,
    }


def quote(value: Quote, terms: MarketTerms) -> dict[str, Any]:
    """What an offer would cost, or why it cannot serve."""
    return offer_to_wire(value.offer) | {
        "className": value.class_name,
        "canServe": value.can_serve,
        "locked": None if value.locked is None else money(value.locked, terms),
        "bond": None if value.bond is None else money(value.bond, terms),
        "reason": value.reason,
        "detail": value.detail,
    }


def event(value: JobEvent) -> dict[str, Any]:
    """One step of a job's life."""
    return {"state": value.state, "at": iso_from_time(value.at), "reason": value.reason, "note": value.note}


def job(value: Job, terms: MarketTerms) -> dict[str, Any]:
    """A job in a list."""
    kept = value.kept
    return {
        "id": value.id,
        "number": kept.number,
        "name": kept.job.name,
        "state": kept.job.state,
        "orders": list(kept.job.orders),
        "since": iso_from_time(kept.job.history[-1].at),
        "reason": kept.job.history[-1].reason,
        "note": kept.job.history[-1].note,
        "money": sums(value.sums(), terms),
        "terms": job_terms(kept.terms),
    }


def job_terms(value: JobTerms) -> dict[str, int]:
    return {
        "retries": value.retries,
        "expiresInSeconds": value.expires_in_seconds,
        "silentAfterSeconds": value.silent_after_seconds,
    }


def result(value: JobResult, terms: MarketTerms) -> dict[str, Any]:
    """The receipt of a job."""
    return {
        "lease": value.lease,
        "exitCode": value.exit_code,
        "usedSeconds": value.used_seconds,
        "price": money(value.price, terms),
        "cost": money(value.cost, terms),
        "provider": value.provider,
        "result": value.result,
        "outputs": [asdict(output) for output in value.outputs],
        "logs": value.logs,
        "countersigned": value.is_countersigned,
    }


def attempt(value: Attempt, terms: MarketTerms) -> dict[str, Any]:
    """One order of a job."""
    return {
        "order": value.order,
        "number": value.number,
        "maxPrice": money(value.max_price, terms),
        "provider": value.provider,
        "exit": value.exit,
        "servings": [asdict(serving) | {"price": money(serving.price, terms)} for serving in value.servings],
        "money": sums(value.sums, terms),
        "note": value.note,
    }


def story(value: Story, terms: MarketTerms) -> dict[str, Any]:
    """All there is to tell about a job."""
    return {
        "id": value.job,
        "number": value.number,
        "name": value.name,
        "command": list(value.command),
        "state": value.state,
        "history": [event(item) for item in value.history],
        "attempts": [attempt(item, terms) for item in value.attempts],
        "money": sums(value.sums, terms),
        "settled": value.is_settled,
        "explanation": dict(value.explanation.document) if value.explanation else None,
        "result": result(value.result, terms) if value.result else None,
    }
