"""What the events alone say (I-12): the project's own fold over them, held against the model that the contract was just held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from typing import Any

from marketplace.chain.events import decode_logs
from marketplace.domain import events, ledger
from marketplace.domain.ids import Address, Bytes32, OfferId
from marketplace.domain.units import TokenUnits, UnixTime
from tests.differential.model import MarketModel
from tests.differential.shapes import LIVE

PAYING = (
    events.LeaseSettled,
    events.LeaseFinalized,
    events.LeaseTerminated,
    events.LeaseRuled,
    events.LeaseLapsed,
)


def differences(logs: Sequence[Any], model: MarketModel) -> list[str]:
    """Where the state that is rebuilt from the market's logs is not the model's."""
    happened = decode_logs(logs, Address(model.address), lambda _: UnixTime(0))
    rows = ledger.replay(happened, TokenUnits(model.constants.bond_floor))
    compared = [*_rows(rows, model), *_budgets(happened, model), *_volumes(happened, rows, model), _locked(rows, model)]
    return [f"{what}: the events say {ours}, the model {theirs}" for what, ours, theirs in compared if ours != theirs]


def _rows(rows: ledger.Rows, model: MarketModel) -> Iterator[tuple[str, Any, Any]]:
    for who in {*model.accounts, *rows.accounts}:
        yield f"balance {who}", rows.accounts.get(Address(who), 0), model.accounts[who]
    for number, offer in model.offers.items():
        yield f"offer {number}", astuple(rows.offers[OfferId(number)])[1:], astuple(offer)
    for identifier, record in rows.leases.items():
        lease = model.lease_of(identifier)
        yield f"lease {identifier}", astuple(record.lease), astuple(lease)
        if lease.status in LIVE:
            yield f"payee {identifier}", record.payee, model.payee_of(identifier)
    yield "orders", set(rows.leases), set(model.orders)


def _locked(rows: ledger.Rows, model: MarketModel) -> tuple[str, Any, Any]:
    floor = TokenUnits(model.constants.bond_floor)
    live = [record for record in rows.leases.values() if record.lease.status.is_live]
    locked = sum(ledger.locked_in(record, rows.offers[record.lease.offer], floor) for record in live)
    return "locked", locked, model.locked


def _budgets(happened: Iterable[events.Event], model: MarketModel) -> Iterator[tuple[str, Any, Any]]:
    """Authorized sets a budget, BudgetSpent says what is left of it."""
    budgets: dict[tuple[str, str], tuple[int, int]] = {}
    for event in happened:
        if isinstance(event, events.Authorized):
            budgets[event.account, event.delegate] = (event.budget, event.until)
        elif isinstance(event, events.BudgetSpent):
            pair = event.account, event.delegate
            budgets[pair] = (event.left, budgets[pair][1])
    for (account, delegate), budget in budgets.items():
        yield f"budget of {delegate} from {account}", budget, astuple(model.budget_of(account, delegate))


def _volumes(happened: Iterable[events.Event], rows: ledger.Rows, model: MarketModel) -> Iterator[tuple[str, Any, Any]]:
    """The sums over all payments, each being a move of paidSeconds (I-11)."""
    paid, gpu_seconds = Counter[int](), Counter[int]()
    serving: dict[Bytes32, tuple[int, int, int]] = {}
    for event in happened:
        if isinstance(event, events.LeaseOpened):
            serving[event.lease] = (rows.offers[event.offer].gpu_class, event.order.gpus, 0)
        elif isinstance(event, PAYING):
            gpu_class, gpus, before = serving[event.lease]
            upto = event.used_seconds if isinstance(event, events.LeaseSettled) else event.paid_seconds
            paid[gpu_class] += event.paid
            gpu_seconds[gpu_class] += gpus * (upto - before)
            serving[event.lease] = (gpu_class, gpus, upto)
    for gpu_class, volume in model.volumes.items():
        yield f"volume of class {gpu_class}", (paid[gpu_class], gpu_seconds[gpu_class]), astuple(volume)
