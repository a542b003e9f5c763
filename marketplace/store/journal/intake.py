"""Many new orders at once, in one transaction: what is committed together reaches the disk together, at the price of one.

Each is taken or left alone, as if it had come by itself; the ones that are left are for who can say what is wrong with them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, case, insert, select, update

from marketplace.domain.ids import Address, Sha256, sha256_in
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import order_to_wire
from marketplace.store.journal.answers import drop_oldest_answers
from marketplace.store.journal.engine import Bulk, Database, Move, next_numbers, record_moves
from marketplace.store.journal.rows import NewOrder
from marketplace.store.journal.schema import ANSWERS, ORDER_CHANGES, ORDERS, UPLOADS, USES
from marketplace.store.journal.uploads import UNUSED_SECONDS

_EVERYBODY = Address("")
"""Stands for who brought a blob that is public."""
_Held = frozenset[tuple[Sha256, Address]]
_Name = tuple[str, ...]


def _of(name: str) -> BindParameter[Any]:
    """One of these values. Statements are put together once: that takes longer than to run them."""
    return bindparam(name, expanding=True)


class OrderIntake:
    """Takes orders by the batch."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, entries: Sequence[NewOrder]) -> list[bool]:
        """Keep the orders that are new, under keys that are new, and whose blobs their own side brought; whether each was. All of them are durable when this returns.

        With the order is kept that it uses its blobs, that its spec is public from now on, and what its request was answered.
        """
        with self._database.write() as connection:
            held, past = _held(connection, entries), _known(connection, entries) | _answered(connection, entries)
            taken = list[bool]()
            for entry in entries:
                names = _names_of(entry)
                taken.append(past.isdisjoint(names) and _stands(entry, held))
                past |= names if taken[-1] else set()
            fresh = [entry for entry, is_taken in zip(entries, taken, strict=True) if is_taken]
            if fresh:
                _keep(connection, fresh, held)
        return taken


def _names_of(entry: NewOrder) -> set[_Name]:
    """What nobody may have come with before: the order's id, and its account's key."""
    return {(entry.signed.id,)} | ({(entry.signed.order.client, entry.key)} if entry.key else set())


_HELD = select(UPLOADS.c.blob, UPLOADS.c.account, UPLOADS.c.is_public).where(
    UPLOADS.c.blob.in_(_of("blobs")), UPLOADS.c.account.in_(_of("accounts")) | UPLOADS.c.is_public
)
_KNOWN = select(ORDERS.c.id).where(ORDERS.c.id.in_(_of("ids")))
_ANSWERED = select(ANSWERS.c.account, ANSWERS.c.key).where(ANSWERS.c.key.in_(_of("keys")))
_ORDERS = Bulk(ORDERS, "id", "sequence", "changed", "client", "order", "signature", "spec", "accepted_at")
_USES = Bulk(USES, "blob", "subject")


def _held(connection: Connection, entries: Sequence[NewOrder]) -> _Held:
    """Which of the blobs their bringers brought, and which are public."""
    blobs = {blob for entry in entries for blob in entry.blobs}
    accounts = {account for entry in entries for account in entry.bringers}
    rows = connection.execute(_HELD, {"blobs": list(blobs), "accounts": list(accounts)}).all()
    public = {(row.blob, _EVERYBODY) for row in rows if row.is_public}
    return frozenset(public | {(row.blob, row.account) for row in rows})


def _stands(entry: NewOrder, held: _Held) -> bool:
    """Whether its blobs are there for it. Its spec is made public in its client's name, so the client must have brought it where nobody made it public."""
    everybody = {_EVERYBODY, *entry.bringers}
    spec, client = _spec_of(entry), entry.signed.order.client
    is_publishable = (spec, _EVERYBODY) in held or (spec, client) in held
    return is_publishable and all(any((blob, one) in held for one in everybody) for blob in entry.blobs)


def _known(connection: Connection, entries: Sequence[NewOrder]) -> set[_Name]:
    return {(row.id,) for row in connection.execute(_KNOWN, {"ids": [entry.signed.id for entry in entries]})}


def _answered(connection: Connection, entries: Sequence[NewOrder]) -> set[_Name]:
    """The accounts that have used these keys, with the keys."""
    asked = [entry.key for entry in entries if entry.key]
    rows = connection.execute(_ANSWERED, {"keys": asked}).all() if asked else []
    return {(row.account, row.key) for row in rows}


def _keep(connection: Connection, fresh: Sequence[NewOrder], held: _Held) -> None:
    keep_orders(connection, [(entry.signed, entry.spec, entry.at) for entry in fresh])
    _use(connection, fresh)
    _publish(connection, [entry for entry in fresh if (_spec_of(entry), _EVERYBODY) not in held])
    keyed = [entry for entry in fresh if entry.key]
    if keyed:
        connection.execute(insert(ANSWERS), [_answer_row(entry) for entry in keyed])
    for account in {entry.signed.order.client for entry in keyed}:
        drop_oldest_answers(connection, account)


def keep_orders(connection: Connection, orders: Sequence[tuple[SignedOrder, bytes, UnixTime]]) -> None:
    """Write new orders down, each with its spec and the block time at which it was accepted, under the next numbers; and that they were accepted."""
    numbers = next_numbers(connection, ORDER_CHANGES, len(orders))
    _ORDERS.insert(
        connection,
        [
            (signed.id, number, number, signed.order.client, _wire_text(signed.order), signed.signature, spec, at)
            for (signed, spec, at), number in zip(orders, numbers, strict=True)
        ],
    )
    record_moves(connection, "order", [Move(signed.id, "", "accepted", at) for signed, _, at in orders])


def _wire_text(order: Order) -> str:
    return json.dumps(order_to_wire(order))


def _answer_row(entry: NewOrder) -> dict[str, Any]:
    answer = entry.answer
    return {
        "account": entry.signed.order.client, "key": entry.key, "fingerprint": answer.fingerprint,
        "status": answer.status, "body": answer.body, "at": entry.at,
    }  # fmt: skip


def _use(connection: Connection, fresh: Sequence[NewOrder]) -> None:
    _USES.insert(connection, [(blob, entry.signed.id) for entry in fresh for blob in entry.blobs])


_PUBLISH = (
    update(UPLOADS)
    .where(UPLOADS.c.blob == bindparam("spec"), UPLOADS.c.account == bindparam("client"))
    .values(
        is_public=True, at=bindparam("seen_at"),
        keep_until=case((UPLOADS.c.keep_until < bindparam("until"), bindparam("until")), else_=UPLOADS.c.keep_until),
    )
)  # fmt: skip
"""As ``UploadTable.note`` says it of one: what is kept for good stays so."""


def _publish(connection: Connection, entries: Sequence[NewOrder]) -> None:
    rows = [
        {
            "spec": _spec_of(entry), "client": entry.signed.order.client, "seen_at": entry.at,
            "until": entry.at + UNUSED_SECONDS,
        }
        for entry in entries
    ]  # fmt: skip
    if rows:
        connection.execute(_PUBLISH, rows)


def _spec_of(entry: NewOrder) -> Sha256:
    return sha256_in(entry.signed.order.spec)
