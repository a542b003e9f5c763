"""A provider agent's own journal: what it serves, how far it has read the chain, its receipts and its transactions.

The transitions of a serving are those of ``domain.states.SERVING_TRANSITIONS``; the database refuses any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Conflict, NotFound
from marketplace.domain.ids import Bytes32, OfferId, Sha256
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import EndedReason
from marketplace.domain.states import ServingState
from marketplace.domain.units import PricePerGpuHour, Seconds, UnixTime
from marketplace.domain.wire import order_from_wire, order_to_wire
from marketplace.store.journal.engine import Database, history_of, record_move
from marketplace.store.journal.handovers import HandoverTable
from marketplace.store.journal.outbox import OutboxTable
from marketplace.store.journal.receipts import ReceiptTable
from marketplace.store.journal.rows import JournalEvent, JournalReceipt, Listing, Role, Serving, ServingKey
from marketplace.store.journal.schema import AGENT_TABLES, BLOCKS, CURSORS, LISTINGS, SERVINGS
from marketplace.store.journal.wishes import WishTable
from marketplace.store.journal.workspaces import WorkspaceTable

_CHAIN = "chain"
BLOCKS_KEPT = 160
"""Blocks remembered below the cursor: a reorganisation is followed 128 blocks back."""
_FACTS = (
    "folder",
    "pid",
    "exit_code",
    "ended",
    "used_seconds",
    "lost_seconds",
    "result",
    "provider_signature",
    "client_signature",
    "note",
)


AGENT_JOURNAL = "agent.sqlite"
"""Its file in an agent's home."""


class AgentJournal:
    """Opened by URL, ``sqlite:///path``. One agent owns it; its threads may share it."""

    def __init__(self, url: str) -> None:
        """Open, creating what is missing. Raises StoreUnavailable, ConfigError."""
        self._database = Database(url, AGENT_TABLES)
        self.outbox = OutboxTable(self._database)
        """Satisfies ``chain.transactions.Outbox``."""
        self._receipts = ReceiptTable(self._database)
        self.desk = WishTable(self._database)
        """What the operator wants of the agent, and what the agent tells of itself."""
        self.handovers = HandoverTable(self._database)
        """What is still to be handed over of closed servings."""
        self.workspaces = WorkspaceTable(self._database)
        """Sessions whose files are kept for a while after their close."""
        self.write_probe, self.kind = self._database.write_probe, self._database.kind

    def close(self) -> None:
        self._database.close()

    # Servings

    def add_serving(self, serving: Serving) -> bool:
        """Write down a serving that has just been seen; False where it is known (the row stays as it is).

        Raises InvalidTransition where it does not begin in ``seen``."""
        with self._database.write() as connection:
            if _serving_row(connection, serving.key) is not None:
                return False
            connection.execute(insert(SERVINGS).values(**_columns(serving)))
            record_move(
                connection,
                "serving",
                _subject(serving.key),
                "",
                serving.state,
                at=serving.updated_at,
                note=serving.note,
            )
        return True

    def serving(self, lease: Bytes32, opened_at: UnixTime) -> Serving | None:
        with self._database.read() as connection:
            row = _serving_row(connection, (lease, opened_at))
        return _serving(row) if row else None

    def servings(self, *states: ServingState) -> list[Serving]:
        """The servings in these states (none given: all), oldest opening first."""
        query = select(SERVINGS).order_by(SERVINGS.c.opened_in_block, SERVINGS.c.lease)
        with self._database.read() as connection:
            rows = connection.execute(query.where(SERVINGS.c.state.in_(states)) if states else query).all()
        return [_serving(row) for row in rows]

    def advance(self, serving: Serving, to: ServingState, *, at: UnixTime, note: str = "", **facts: Any) -> Serving:
        """The serving one transition later, with what became known on the way; the only way to change its state.

        Compare-and-set on the state that the caller saw: Conflict where somebody was faster, InvalidTransition where
        the table has no such move, NotFound where there is no such serving. ``facts``: folder, pid, exit_code,
        used_seconds, lost_seconds, result, provider_signature, client_signature.
        """
        onward = replace(serving, state=to, updated_at=at, note=note, **facts)
        with self._database.write() as connection:
            record_move(connection, "serving", _subject(serving.key), serving.state, to, at=at, note=note)
            self._store(connection, serving, onward)
        return onward

    def note(self, serving: Serving, **facts: Any) -> Serving:
        """The serving with facts added, in the same state. Raises NotFound, Conflict (it is in another)."""
        noted = replace(serving, **facts)
        if noted.state is not serving.state:
            raise TypeError("state changes by advance() only")
        with self._database.write() as connection:
            self._store(connection, serving, noted)
        return noted

    def history_of_serving(self, lease: Bytes32, opened_at: UnixTime) -> list[JournalEvent]:
        with self._database.read() as connection:
            return history_of(connection, "serving", _subject((lease, opened_at)))

    def _store(self, connection: Connection, seen: Serving, now: Serving) -> None:
        """Write the facts that changed, and only those: facts that another thread noted meanwhile stay."""
        before, after = _columns(seen), _columns(now)
        changed = {name: after[name] for name in (*_FACTS, "state", "updated_at") if after[name] != before[name]}
        here = (SERVINGS.c.lease == seen.lease) & (SERVINGS.c.opened_at == seen.opened_at)
        guarded = (
            update(SERVINGS).where(here, SERVINGS.c.state == seen.state).values(**changed or {"state": seen.state})
        )
        if connection.execute(guarded).rowcount == 0:
            missing = _serving_row(connection, seen.key) is None
            raise NotFound("serving", _subject(seen.key)) if missing else Conflict("serving", _subject(seen.key))

    # Receipts

    def add_receipt(
        self, receipt: Receipt, role: Role, signature: str, at: UnixTime, ended: EndedReason | None = None
    ) -> bool:
        """Keep one side's signature under a receipt, durably, and why the job ended, where that is known; False where that side signed it before."""
        return self._receipts.add(receipt, role, signature, at, ended)

    def receipts(self, lease: Bytes32, opened_at: UnixTime | None = None) -> list[JournalReceipt]:
        """The receipts of a lease, or of one serving of it, oldest first."""
        return self._receipts.of(lease, opened_at)

    # Listings

    def add_listing(self, offer: OfferId, machine: Sha256) -> bool:
        """Write down an offer of ours, as the chain numbered it; False where it is known."""
        with self._database.write() as connection:
            if connection.execute(select(LISTINGS.c.offer).where(LISTINGS.c.offer == offer)).first() is not None:
                return False
            connection.execute(insert(LISTINGS).values(offer=offer, machine=machine))
        return True

    def remove_listing(self, offer: OfferId) -> None:
        """The offer is not ours (any more): its listing has left the chain."""
        with self._database.write() as connection:
            connection.execute(delete(LISTINGS).where(LISTINGS.c.offer == offer))

    def listings(self) -> list[Listing]:
        with self._database.read() as connection:
            rows = connection.execute(select(LISTINGS).order_by(LISTINGS.c.offer)).all()
        return [Listing(OfferId(row.offer), Sha256(row.machine)) for row in rows]

    # The cursor

    def cursor(self, name: str = _CHAIN) -> BlockRef | None:
        """The last block whose events have been taken in; None before the first. Under another name, another block that was saved."""
        with self._database.read() as connection:
            row = connection.execute(select(CURSORS).where(CURSORS.c.name == name)).first()
        return _block(row) if row else None

    def save_cursor(self, block: BlockRef, blocks: Sequence[BlockRef] = (), *, name: str = _CHAIN) -> None:
        """Save it after the block's events are in the journal: an event read twice is harmless, a lost one is not.

        ``blocks``: what to remember of those that were read. Blocks above the cursor are forgotten.
        """
        with self._database.write() as connection:
            if connection.execute(update(CURSORS).where(CURSORS.c.name == name).values(**_place(block))).rowcount == 0:
                connection.execute(insert(CURSORS).values(name=name, **_place(block)))
            if name != _CHAIN:
                return
            gone = (BLOCKS.c.number > block.number) | (BLOCKS.c.number < block.number - BLOCKS_KEPT)
            connection.execute(delete(BLOCKS).where(gone | BLOCKS.c.number.in_([one.number for one in blocks])))
            if blocks:
                connection.execute(insert(BLOCKS), [_place(one) for one in blocks])

    def trail(self) -> list[BlockRef]:
        """The blocks below the cursor that are remembered, oldest first."""
        with self._database.read() as connection:
            return [_block(row) for row in connection.execute(select(BLOCKS).order_by(BLOCKS.c.number))]

    def forget_cursor(self) -> None:
        """Begin to read the chain anew."""
        with self._database.write() as connection:
            connection.execute(delete(CURSORS))
            connection.execute(delete(BLOCKS))


def open_agent_journal(home: Path) -> AgentJournal:
    """The journal of the agent of this home, for it and for its operator's commands; nobody else's to read."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return AgentJournal(f"sqlite:///{home.resolve()}/{AGENT_JOURNAL}")


def _place(block: BlockRef) -> dict[str, Any]:
    return {"number": block.number, "hash": block.hash, "timestamp": block.timestamp}


def _block(row: Row[Any]) -> BlockRef:
    return BlockRef(row.number, Bytes32(row.hash), UnixTime(row.timestamp))


def _subject(key: ServingKey) -> str:
    lease, opened_at = key
    return f"{lease}@{opened_at}"


def _serving_row(connection: Connection, key: ServingKey) -> Row[Any] | None:
    here = (SERVINGS.c.lease == key[0]) & (SERVINGS.c.opened_at == key[1])
    return connection.execute(select(SERVINGS).where(here)).first()


def _columns(serving: Serving) -> dict[str, Any]:
    return asdict(serving) | {
        "order": order_to_wire(serving.order),
        "price": str(serving.price),
        "state": str(serving.state),
        "ended": str(serving.ended),
    }


def _serving(row: Row[Any]) -> Serving:
    return Serving(
        lease=Bytes32(row.lease), opened_at=UnixTime(row.opened_at), offer=OfferId(row.offer),
        price=PricePerGpuHour(int(row.price)), order=order_from_wire(row._mapping["order"]),
        opened_in_block=row.opened_in_block, state=ServingState(row.state), folder=row.folder, pid=row.pid,
        exit_code=row.exit_code, ended=EndedReason(row.ended),
        used_seconds=None if row.used_seconds is None else Seconds(row.used_seconds),
        lost_seconds=Seconds(row.lost_seconds), result=None if row.result is None else Bytes32(row.result), provider_signature=row.provider_signature,
        client_signature=row.client_signature, note=row.note, updated_at=UnixTime(row.updated_at),
    )  # fmt: skip
