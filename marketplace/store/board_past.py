"""The past as the projection has it, for readers: each answer as of one block, in one step of Redis, the newest first and by pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from marketplace.domain.annals import BudgetCharge, Movement, ScoreChange, Totals
from marketplace.domain.blocks import BlockRef
from marketplace.domain.budgets import NO_BUDGET, Budget
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.history import Span
from marketplace.domain.ids import Address, Bytes32, ClassNumber
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.market import Volume
from marketplace.domain.units import UnixTime
from marketplace.store import board_annals as annals
from marketplace.store import board_keys as keys
from marketplace.store.board_connection import RedisConnection
from marketplace.store.board_rows import RowReader, block_in, budget_field, budget_in, volume_in

Item = TypeVar("Item")
LOOKS_PER_PAGE = 2_000
"""Lines that are looked at for one page of leases; then the page is short, and says where to go on."""
CHARGES_TOLD = 10


@dataclass(frozen=True, slots=True)
class PastPage(Generic[Item]):
    """Some lines of the past, newest first."""

    block: BlockRef
    items: tuple[Item, ...]
    onward: str | None
    """The place from which the list goes on; None at its end."""


@dataclass(frozen=True, slots=True)
class Delegate:
    """Whom an account has ever given a budget: what is left of it, and what it was charged for last."""

    delegate: Address
    budget: Budget
    charges: tuple[BudgetCharge, ...]


@dataclass(frozen=True, slots=True)
class ClassHistory:
    """Spans of one class in which something happened, and how many GPUs were let and listed before the first of them."""

    block: BlockRef
    let: int
    listed: int
    spans: Mapping[UnixTime, Span] = field(default_factory=dict)


class PastReader:
    """Every method raises StoreUnavailable, also while the projection is being rebuilt."""

    def __init__(self, redis: RedisConnection, reader: RowReader) -> None:
        self._redis, self._reader = redis, reader

    def movements(self, account: Address, after: str | None, limit: int) -> PastPage[Movement]:
        """What came into an account's free balance, and what went."""
        return self._page(annals.MOVEMENTS, account, after, limit, lambda _, text: annals.movement_in(account, text))

    def scores(self, provider: Address, after: str | None, limit: int) -> PastPage[ScoreChange]:
        return self._page(annals.SCORES, provider, after, limit, lambda _, text: annals.score_in(provider, text))

    def events(self, order: Bytes32, after: str | None, limit: int) -> PastPage[dict[str, Any]]:
        """The market's events about an order, in their wire form."""
        return self._page(annals.EVENTS, order, after, limit, lambda _, text: json.loads(text))

    def leases(
        self, named: Mapping[str, str], status: LeaseStatus | None, after: str | None, limit: int
    ) -> PastPage[LeaseRecord]:
        """Leases that have all these by ``board_annals``' kinds; of the first of them the lines are read. A page may be short and lead on."""
        kind, who = next(iter(named.items()), (annals.EVERYBODY, ""))
        words = [annals.word_of(one, whose) for one, whose in named.items()]
        words += [annals.word_of("status", status.name.capitalize())] if status is not None else []
        asked: list[str | bytes | int] = [annals.whose(kind, who), after or "", limit, LOOKS_PER_PAGE, *words]
        told = self._redis.run("read_leases", (keys.HEAD, keys.ANNALS, keys.LEASES), asked)
        ready, cursor, onward, *rows = told
        return PastPage(_whole(ready, cursor), tuple(map(self._reader.lease, rows)), onward.decode() or None)

    def delegates(self, account: Address, after: str | None, limit: int) -> PastPage[Delegate]:
        """By address."""
        page = self._page(annals.DELEGATES, account, after, limit, lambda place, _: Address(place))
        asked = [self._range(annals.CHARGES, f"{account}.{one}", None, CHARGES_TOLD) for one in page.items]
        fields = [budget_field((account, one)) for one in page.items]
        budgets, *charges = self._redis.together([("HMGET", keys.BUDGETS, *fields), *asked]) if fields else [[]]
        found = [
            Delegate(one, budget_in(text) if text else NO_BUDGET, tuple(_charges(account, one, lines)))
            for one, text, lines in zip(page.items, budgets, charges, strict=True)
        ]
        return PastPage(page.block, tuple(found), page.onward)

    def totals(self) -> tuple[BlockRef, Totals]:
        """All that the market owes."""
        head, text = self._redis.together([_HEAD, ("HGET", keys.TOTALS, "owed")])
        return _whole(*head), annals.totals_in(text)

    def volume(self, gpu_class: ClassNumber) -> Volume | None:
        """All that was ever paid for a class; None where nothing was."""
        head, text = self._redis.together([_HEAD, ("HGET", keys.VOLUMES, str(gpu_class))])
        _whole(*head)
        return volume_in(text) if text else None

    def history(self, gpu_class: ClassNumber, seconds: int, first: UnixTime, last: UnixTime) -> ClassHistory:
        """The spans of this length that begin from ``first`` to ``last``."""
        words = (gpu_class, seconds, first, last)
        ready, cursor, let, listed, *rows = self._redis.run("read_history", (keys.HEAD, keys.HISTORY), words)
        spans = {UnixTime(int(start)): annals.span_in(text) for start, text in zip(rows[::2], rows[1::2], strict=True)}
        return ClassHistory(_whole(ready, cursor), int(let), int(listed), spans)

    def _page(
        self, kind: str, who: str, after: str | None, limit: int, read: Callable[[str, str], Item]
    ) -> PastPage[Item]:
        head, lines = self._redis.together([_HEAD, self._range(kind, who, after, limit + 1)])
        block = _whole(*head)
        read_lines = [annals.place_and_text(line) for line in lines[:limit]]
        onward = read_lines[-1][0] if len(lines) > limit else None
        return PastPage(block, tuple(read(place, text) for place, text in read_lines), onward)

    def _range(self, kind: str, who: str, after: str | None, limit: int) -> tuple[Any, ...]:
        """The command that reads lines from the newest, or from the place of the last one seen."""
        start = annals.whose(kind, who)
        top = start + (after if after is not None else annals.LAST_PLACE)
        return ("ZREVRANGEBYLEX", keys.ANNALS, f"({top}", f"[{start}", "LIMIT", 0, limit)


_HEAD = ("HMGET", keys.HEAD, "ready", "cursor")


def _charges(account: Address, delegate: Address, lines: Sequence[bytes]) -> list[BudgetCharge]:
    return [annals.charge_in(account, delegate, annals.place_and_text(line)[1]) for line in lines]


def _whole(ready: bytes | None, cursor: bytes | None) -> BlockRef:
    if ready != b"1" or not cursor:
        raise StoreUnavailable("projection")
    return block_in(cursor)
