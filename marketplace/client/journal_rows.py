"""What a journal holds, as values, and how its rows say it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.client.terms import JobTerms
from marketplace.domain.ids import Bytes32
from marketplace.domain.orders import SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.spec import Group
from marketplace.domain.states import TrackedJob
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import order_from_wire, receipt_from_wire

NOT_POSTED, POSTED, REFUSED = 0, 1, 2
"""Where an order has got to, as a gateway says."""


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as the book holds it, with the version that a change must name."""

    job: TrackedJob
    terms: JobTerms
    version: int
    number: int
    """Counts this book's jobs from 1: a short name for people."""
    group: Group | None = None
    """Which node of which group it is; None: it stands alone."""
    broken: str = ""
    """Why its group cannot succeed any more; empty while it can."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be written down, with its first order, the spec that the order names, and the work that the spec names."""

    job: TrackedJob
    terms: JobTerms
    signed: SignedOrder
    spec: bytes
    work: bytes
    group: Group | None = None
    key: str | None = None
    """The secret key of a sealed job."""
    sources: SecretSources | None = None


@dataclass(frozen=True, slots=True)
class SecretSources:
    """What is written down of a job's secrets: not their values, but what binds them, and the files that they were read from."""

    salt: str
    files: Mapping[str, str]
    """By their names; those that are not here were a variable's."""


@dataclass(frozen=True, slots=True)
class Reorder:
    """The fresh order of a retry, with its spec and work, as it is written down."""

    signed: SignedOrder
    spec: bytes
    work: bytes
    at: UnixTime


@dataclass(frozen=True, slots=True)
class KeptOrder:
    """An order of a job, with the spec that its hash stands for, and the work that the spec names."""

    signed: SignedOrder
    job: Bytes32
    attempt: int
    spec: bytes
    work: bytes
    signed_at: UnixTime
    is_posted: bool
    note: str
    """Why it stands still, in plain words; empty when it does not."""
    explanation: str
    """What the scheduler said last about it while it waited, as JSON; empty before the first word."""
    is_refused: bool = False
    """Every gateway that answered has refused it. Its signature has been seen: until it expires, or is cancelled on the chain, it can be opened."""
    given_up_at: UnixTime | None = None
    """Block time at which its provider was found silent; None: it was not."""


@dataclass(frozen=True, slots=True)
class KeptReceipt:
    """A last receipt that we signed, and the result document that it names."""

    receipt: Receipt
    signature: str
    result: bytes
    signed_at: UnixTime
    is_posted: bool


def history_text(job: TrackedJob) -> str:
    """A job's history as a row holds it."""
    return json.dumps([(event.state, event.at, event.reason, event.note) for event in job.history])


def order_of_row(row: sqlite3.Row) -> KeptOrder:
    """An order, with whether its provider was given up."""
    order, given_up = order_from_wire(json.loads(row["document"])), row["given_up_at"]
    return KeptOrder(
        SignedOrder(Bytes32(row["id"]), order, row["signature"]), Bytes32(row["job"]), row["attempt"], row["spec"], row["work"],
        UnixTime(row["signed_at"]), row["is_posted"] == POSTED, row["note"], row["explanation"],
        row["is_posted"] == REFUSED, None if given_up is None else UnixTime(given_up),
    )  # fmt: skip


def receipt_of_row(row: sqlite3.Row) -> KeptReceipt:
    """A receipt, with the result that it names."""
    receipt = receipt_from_wire(json.loads(row["document"]))
    return KeptReceipt(receipt, row["signature"], row["result"], UnixTime(row["signed_at"]), bool(row["is_posted"]))
