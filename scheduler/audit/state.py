"""The snapshot against the chain's state as of its block, folded from the market's events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

from marketplace.domain.book import delegation_of
from marketplace.domain.classes import GpuClass
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.policy import Policy
from marketplace.domain.reputation import NEWCOMER, standing_of
from marketplace.domain.units import text_from_units
from scheduler.audit.findings import Check, Finding, found
from scheduler.audit.history import History
from scheduler.engine.documents.reading import PostedPlan
from scheduler.engine.documents.snapshot import Snapshot


def check_market(plan: PostedPlan, snapshot: Snapshot, terms: MarketTerms) -> Finding:
    """Constants decide deadlines and bonds; the scheduler's own policy is its own, and shown."""
    faults = [
        f"{name} is {getattr(terms, name)} on the chain, the snapshot says {getattr(snapshot.terms, name)}"
        for name in (item.name for item in fields(MarketTerms) if item.name != "deployed_at_block")
        if getattr(terms, name) != getattr(snapshot.terms, name)
    ]
    said = {
        "chain_id": snapshot.terms.chain_id,
        "market": snapshot.terms.market,
        "opener": snapshot.opener,
        "block": snapshot.view.block,
    }
    faults += [
        f"{name}: the plan says {getattr(plan, name)}" for name, value in said.items() if getattr(plan, name) != value
    ]
    usual = Policy()
    own = [
        f"{item.name} {getattr(snapshot.policy, item.name)} (usually {getattr(usual, item.name)})"
        for item in fields(Policy)
        if getattr(snapshot.policy, item.name) != getattr(usual, item.name)
    ]
    policy = f"its own: {', '.join(own)}" if own else "the usual"
    return found(
        Check.MARKET, faults, f"chain {terms.chain_id}, market {terms.market}; the scheduler's policy is {policy}"
    )


def check_state(snapshot: Snapshot, history: History) -> list[Finding]:
    """Offers, balances, leases, budgets and reputations: nothing hidden, nothing invented, nothing changed."""
    view = snapshot.view
    return [
        found(Check.OFFERS, [*_offers(snapshot, history)], f"all {len(view.offers)} as the chain has them, none missing"),
        found(Check.ACCOUNTS, [*_accounts(snapshot, history)], f"all {len(view.accounts)} free balances are the chain's"),
        found(Check.LEASES, [*_leases(snapshot, history)], f"all {len(view.leases)} of the round's orders are the chain's"),
        found(Check.BUDGETS, [*_budgets(snapshot, history)], f"all {len(view.budgets)} of delegates are the chain's"),
        found(
            Check.REPUTATIONS,
            [*_reputations(snapshot, history)],
            f"all {len(view.reputations)} computed again from the events, the same",
        ),
    ]  # fmt: skip


def _offers(snapshot: Snapshot, history: History) -> Iterator[str]:
    now, said = snapshot.view.block.timestamp, {offer.id: offer for offer in snapshot.view.offers}
    true = history.rows.offers
    for number in sorted(said.keys() | true.keys()):
        if number not in true:
            yield f"offer {number} is invented"
        elif number not in said:
            # Nothing changes without an expired one.
            if true[number].is_alive(now):
                yield f"offer {number} is kept back: {_told(true[number], snapshot.terms)}"
        elif said[number] != true[number]:
            yield f"offer {number}: {_differing(said[number], true[number])}"


def _told(offer: Offer, terms: MarketTerms) -> str:
    return f"{offer.free} GPUs free at {text_from_units(offer.price, terms.token_decimals)}"


def _differing(said: object, true: object) -> str:
    """The fields in which two rows differ."""
    names = [item.name for item in fields(true)]  # type: ignore[arg-type]  # both are rows of one kind
    told = [
        (name, getattr(said, name), getattr(true, name)) for name in names if getattr(said, name) != getattr(true, name)
    ]
    return ", ".join(f"{name} is {chain} on the chain, the snapshot says {snapshot}" for name, snapshot, chain in told)


def _accounts(snapshot: Snapshot, history: History) -> Iterator[str]:
    said, true = snapshot.view.accounts, history.rows.accounts
    clients = {order.signed.order.client for order in snapshot.view.orders}
    for who in sorted(clients | {offer.provider for offer in snapshot.view.offers}):
        if said.get(who, 0) != true.get(who, 0):
            chain, snap = (text_from_units(units.get(who, 0), snapshot.terms.token_decimals) for units in (true, said))
            yield f"{who} has {chain} free on the chain, the snapshot says {snap}"


def _leases(snapshot: Snapshot, history: History) -> Iterator[str]:
    said, true = snapshot.view.leases, history.rows.leases
    on_book = {order.id for order in snapshot.view.orders}
    # Also of fills of its own that it remembers: whether their tips were paid before is money of their clients.
    for order in sorted(on_book | said.keys()):
        lease, record = said.get(order), true.get(order)
        if lease is None and record is not None:
            yield f"order {order} was opened before and is {record.lease.status.name.lower()}, which the snapshot does not say"
        elif lease is not None and record is None:
            yield f"order {order} was never opened, the snapshot says that it was"
        elif lease is not None and record is not None and _plain(lease) != _plain(record):
            yield f"order {order}: {_differing(_plain(lease), _plain(record))}"


def _plain(record: LeaseRecord) -> LeaseRecord:
    """Without its order: that is the one on the book."""
    return replace(record, order=None)


def _budgets(snapshot: Snapshot, history: History) -> Iterator[str]:
    said, true = snapshot.view.budgets, history.rows.budgets
    for pair in sorted({pair for order in snapshot.view.orders if (pair := delegation_of(order))}):
        account, delegate = pair
        if pair not in true:
            # Such a signer stands for a wallet, and is not named. Of one who is, each order would be out of budget, and stay out.
            yield f"{delegate} was never given a budget on {account}, for which it signed as the snapshot says"
        elif said.get(pair) != true[pair]:
            yield f"the budget of {delegate} on {account} is {true.get(pair)} on the chain, the snapshot says {said.get(pair)}"


def _reputations(snapshot: Snapshot, history: History) -> Iterator[str]:
    now = snapshot.view.block.timestamp
    for provider in sorted({offer.provider for offer in snapshot.view.offers}):
        true = standing_of(provider, history.standings, history.rows.owners).reputation
        said = snapshot.view.reputations.get(provider, NEWCOMER)
        if said != true:
            yield f"{provider} scores {true.score_bps(now)} bps by the events, {said.score_bps(now)} by the snapshot"


def check_classes(snapshot: Snapshot, catalogue: Sequence[GpuClass]) -> Finding:
    """What the catalogue promises of machines that nobody described."""
    true: Mapping[int, GpuClass] = {row.number: row for row in catalogue}
    faults = [
        f"class {row.number}: the catalogue has {true.get(row.number)}, the snapshot {row}"
        for row in snapshot.classes
        if true.get(row.number) != row
    ]
    used = {offer.gpu_class for offer in snapshot.view.offers} & true.keys()
    missing = sorted(used - {row.number for row in snapshot.classes})
    doubts = [f"class {number} is offered and in the catalogue, and not in the snapshot" for number in missing]
    return found(Check.CLASSES, faults, f"all {len(snapshot.classes)} are the catalogue's", doubts=doubts)


def is_closed(history: History, order: Bytes32) -> bool:
    """Whether the order was over, or being served, as of the snapshot's block."""
    record = history.rows.leases.get(order)
    return record is not None and (record.lease.status is not LeaseStatus.NONE or record.lease.no_reopen)
