"""What the events alone say (I-12): the project's own fold over them, held against the model that the contract was just held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple
from typing import Any

from marketplace.chain.events import decode_logs
from marketplace.domain import ledger
from marketplace.domain.ids import Address, ClassNumber, OfferId
from marketplace.domain.units import TokenUnits, UnixTime
from tests.differential.model import MarketModel
from tests.differential.shapes import LIVE


def differences(logs: Sequence[Any], times: Mapping[int, int], model: MarketModel) -> list[str]:
    """Where the state that is rebuilt from the market's logs, and from the second of each of their blocks, is not the model's."""
    happened = decode_logs(logs, Address(model.address), lambda number: UnixTime(times[number]))
    rows = ledger.replay(happened, TokenUnits(model.constants.bond_floor))
    compared = [*_rows(rows, model), *_budgets(rows, model), *_volumes(rows, model), _locked(rows, model)]
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


def _budgets(rows: ledger.Rows, model: MarketModel) -> Iterator[tuple[str, Any, Any]]:
    for (account, delegate), budget in rows.budgets.items():
        yield f"budget of {delegate} from {account}", astuple(budget), astuple(model.budget_of(account, delegate))
    yield "budgets", set(rows.budgets), set(model.budgets)


def _volumes(rows: ledger.Rows, model: MarketModel) -> Iterator[tuple[str, Any, Any]]:
    """The sums over all payments, each being a move of paidSeconds (I-11)."""
    for gpu_class in {*rows.volumes, *model.volumes}:
        volume = rows.volumes.get(ClassNumber(gpu_class), ledger.NO_VOLUME)
        yield f"volume of class {gpu_class}", astuple(volume), astuple(model.volume_of(gpu_class))
