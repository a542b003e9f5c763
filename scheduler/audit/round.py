"""One round, audited: the documents, the replay, the chain."""

from __future__ import annotations

from collections.abc import Iterator

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.catalogue import Catalogue
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.domain.errors import GatewayProblem, HashMismatch, InvalidField
from marketplace.domain.events import BatchOpened
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32
from scheduler.audit import word
from scheduler.audit.blocks import look_at_blocks
from scheduler.audit.findings import Check, Finding, Report, Verdict, unchecked
from scheduler.audit.history import History
from scheduler.audit.memory import check_memory
from scheduler.audit.posted import check_posting, check_posting_without_plan
from scheduler.audit.replayed import UNREADABLE, Documents, Read, read_documents
from scheduler.audit.state import check_classes, check_market, check_state
from scheduler.engine.documents.reading import MAX_DOCUMENT_BYTES, PostedPlan, SnapshotReader, read_plan
from scheduler.engine.documents.snapshot import Snapshot

STATE_CHECKS = (
    Check.ORDERS, Check.OFFERS, Check.ACCOUNTS, Check.LEASES, Check.BUDGETS, Check.REPUTATIONS, Check.MEMORY, Check.CLASSES,
    Check.MACHINES, Check.SPECS, Check.HEARTBEATS, Check.BOOK,
)  # fmt: skip


NOTHING_ELSE = word.KnownElsewhere()


def reader_of(api: GatewayApi) -> SnapshotReader:
    """A reader of the snapshots that this gateway has. Rounds that are read with one reader share their pages."""
    return SnapshotReader(lambda page, limit_bytes: api.fetch_blob(page, limit_bytes=limit_bytes))


def fetch_documents(api: GatewayApi, round_hash: Bytes32, reader: SnapshotReader) -> Documents:
    """The round's documents, as far as this gateway has them. What it hands out under a wrong name is what it does not have."""
    try:
        plan = api.fetch_round(round_hash)
    except (GatewayProblem, HashMismatch) as error:
        return Documents(None, None, reader, why_not=str(error))
    try:
        snapshot = api.fetch_blob(read_plan(plan).snapshot, limit_bytes=MAX_DOCUMENT_BYTES)
        return Documents(plan, snapshot, reader)
    except (GatewayProblem, HashMismatch, InvalidField) as error:
        return Documents(plan, None, reader, why_not=str(error))


def audit_round(
    round_hash: Bytes32,
    documents: Documents,
    market: MarketContract,
    catalogue: Catalogue,
    api: GatewayApi | None = None,
    known: word.KnownElsewhere = NOTHING_ELSE,
) -> Report:
    """Hold the documents against each other, against this chain, and against orders that others know of. Without ``api`` what only the gateway
    knows is not checked.

    Raises ChainUnavailable, GatewayUnavailable.
    """
    read = read_documents(round_hash, documents)
    findings = (*read.findings, *_on_chain(round_hash, read, market, catalogue, api, known))
    return Report(round_hash, findings)


def neighbours_of(
    api: GatewayApi, market: MarketContract, round_hash: Bytes32, reader: SnapshotReader
) -> list[Snapshot]:
    """The snapshots of the rounds that the same account posted right before and after this one, as far as this gateway has them."""
    batches = _batches(market)
    opener = next((batch.opener for batch in batches if batch.round == round_hash), None)
    names = list(dict.fromkeys(batch.round for batch in batches if batch.opener == opener))
    at = names.index(round_hash) if round_hash in names else -2
    beside = [names[number] for number in (at - 1, at + 1) if at >= 0 and 0 <= number < len(names)]
    return [snapshot for name in beside if (snapshot := snapshot_in(fetch_documents(api, name, reader)))]


def snapshot_in(documents: Documents) -> Snapshot | None:
    """The snapshot, if there is one that can be read."""
    try:
        return documents.reader.read(documents.snapshot) if documents.snapshot is not None else None
    except UNREADABLE:
        return None


def latest_batches(market: MarketContract, opener: Address, last: int) -> list[BatchOpened]:
    """The batches that this account posted last, newest first; of several with one round the newest. A batch of round 0 names none."""
    batches = [event for event in _batches(market) if event.opener == opener]
    newest: dict[object, BatchOpened] = {}
    for batch in reversed(batches):
        key = batch.ref if batch.round == ZERO_BYTES32 else batch.round
        newest.setdefault(key, batch)
    return list(newest.values())[:last]


def _batches(market: MarketContract) -> list[BatchOpened]:
    follower = EventFollower(market.chain, market.address, confirmations=1)
    events = follower.history(market.terms().deployed_at_block, market.chain.head().number)
    return [event for event in events if isinstance(event, BatchOpened)]


def _on_chain(
    round_hash: Bytes32,
    read: Read,
    market: MarketContract,
    catalogue: Catalogue,
    api: GatewayApi | None,
    known: word.KnownElsewhere,
) -> Iterator[Finding]:
    plan, snapshot, terms = read.plan, read.snapshot, market.terms()
    at = snapshot.view.block.number if snapshot else market.chain.head().number
    follower = EventFollower(market.chain, market.address, confirmations=1, factory=market.companies.factory)
    events = follower.history(terms.deployed_at_block, market.chain.head().number)
    history = History(at, terms.bond_floor).take(events)
    if plan is None:
        yield check_posting_without_plan(round_hash, history)
        yield from unchecked("there is no plan", Check.MARKET, Check.BLOCK, Check.OPENINGS, *STATE_CHECKS)
        return
    if snapshot is None:
        yield from check_posting(round_hash, plan, snapshot, history)
        yield from unchecked("there is no snapshot", Check.MARKET, Check.BLOCK, *STATE_CHECKS)
        return
    blocks = look_at_blocks(snapshot, market, history.batches_of(round_hash, plan.opener))
    yield from (check_market(plan, snapshot, terms), blocks.finding)
    yield from check_posting(round_hash, plan, snapshot, history, is_block_gone=blocks.is_state_gone)
    if blocks.finding.verdict is Verdict.FAILED:
        yield from unchecked("the snapshot's block is not on this chain", *STATE_CHECKS)
        return
    yield from blocks.weighed([*_state(plan, snapshot, history, market, catalogue, api, known)])


def _state(
    plan: PostedPlan,
    snapshot: Snapshot,
    history: History,
    market: MarketContract,
    catalogue: Catalogue,
    api: GatewayApi | None,
    known: word.KnownElsewhere,
) -> Iterator[Finding]:
    gateway = word.Gateway(api) if api else None
    yield word.check_orders(snapshot, history, market.domain)
    yield from check_state(snapshot, history)
    yield check_memory(snapshot, history)
    yield check_classes(snapshot, catalogue.classes())
    yield word.check_machines(snapshot, gateway)
    if gateway:
        yield word.check_specs(plan, snapshot, gateway)
    else:
        yield from unchecked(word.NO_GATEWAY, Check.SPECS)
    yield word.check_heartbeats(snapshot)
    yield word.check_book(snapshot, history, gateway, known)
