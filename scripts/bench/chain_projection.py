"""The indexer on a long past: made-up pages of events, as its follower hands them out, into a real projection."""

from __future__ import annotations

import gc
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from marketplace.chain.events import NOTHING_NEW, EventFollower, EventPage, Trail
from marketplace.domain.blocks import BlockRef
from marketplace.domain.events import Deposited, Event, LeaseOpened, LeaseSettled, LogRef, OfferListed
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, ClassNumber, OfferId
from marketplace.domain.ledger import Rows, apply
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order
from marketplace.domain.pricing import bond_of, earned_rounded_down, lock_of
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.redis_server import start_redis

CLIENTS, PROVIDERS, OFFERS = 200, 40, 80
PAGE_BLOCKS = 2_000
"""Of a page: as many as a follower asks for at once."""
BATCH = 25
"""Leases that one block opens, and the next busy one settles."""
BUSY = 20
"""Every so many-th block is."""
FUNDS = TokenUnits(10**15)
FLOOR = TokenUnits(100_000)
PRICE = PricePerGpuHour(2_000_000)
SERVED = Seconds(300)
MARKET, OPENER, ARBITER = (Address(f"0x{digits * 20}") for digits in ("3a", "0e", "ab"))
TERMS = MarketTerms(
    chain_id=31_337, market=MARKET, token=Address("0x" + "70" * 20), token_symbol="TUSD", token_decimals=6,
    deployed_at_block=0, start_grace=Seconds(60), claim_grace=Seconds(600), challenge_window=Seconds(600),
    ruling_window=Seconds(600), bond_floor=FLOOR,
)  # fmt: skip


def measured(events: int) -> dict[str, float]:
    """Seconds that the projection takes until it is level with so many events. Raises ValueError where it is not their fold then."""
    past = Past.of(events)
    with TemporaryDirectory(prefix="bourse-bench-") as name, ExitStack() as at_end:
        folder = Path(name)
        redis = start_redis(folder / "redis")
        at_end.callback(redis.stop)
        board = at_end.enter_context(closing(Board(redis.url)))
        journal = at_end.enter_context(closing(OperatorJournal(f"sqlite:///{folder}/operator.sqlite")))
        follower = cast("EventFollower", past)
        projector = Projector(follower, journal, FolderBlobs(folder / "blobs"), board, TERMS, opener=OPENER)
        gc.collect()
        gc.freeze()  # The pages are made beforehand, all of them; who follows a chain has one at a time.
        begun = time.perf_counter()
        while projector.step().within_seconds == 0:
            pass
        seconds = time.perf_counter() - begun
        gc.unfreeze()
        if board.projection.all_rows() != folded(past.events):
            raise ValueError("the projection is not the fold over its events")
    return {"seconds": seconds, "events": len(past.events)}


def folded(events: Sequence[Event]) -> Rows:
    """The state after all these events; in place, as there are many."""
    tables: dict[str, dict[Any, Any]] = {one.name: {} for one in fields(Rows)}
    state = Rows(**tables)
    for event in events:
        changed = apply(state, event, FLOOR)
        for name, table in tables.items():
            table.update(getattr(changed, name))
    return state


@dataclass(frozen=True)
class Past:
    """Stands where the follower and its chain stand: hands out pages of what is old, knows blocks, and has no contract to compare with."""

    market = MARKET
    events: tuple[Event, ...]
    places: tuple[int, ...]
    """The block of each."""

    @classmethod
    def of(cls, count: int) -> Past:
        """So many events."""
        events = tuple(event for event, _ in zip(_events_of_a_market(), range(count), strict=False))
        return cls(events, tuple(event.ref.block.number for event in events))

    @property
    def chain(self) -> Past:
        return self

    def block(self, number: int) -> BlockRef:
        return block_of(number)

    def headers_between(self, _since: BlockRef, _upto: BlockRef) -> None:
        """None is known."""

    def follow(
        self, cursor: BlockRef | None, start: int, *, trail: Trail, limit_blocks: int | None = None
    ) -> EventPage:
        """As EventFollower's."""
        first, last = start if cursor is None else cursor.number + 1, self.places[-1]
        if first > last:
            return NOTHING_NEW
        upto = min(last, first + (limit_blocks or PAGE_BLOCKS) - 1)
        found = self.events[bisect_left(self.places, first) : bisect_right(self.places, upto)]
        return EventPage(found, block_of(upto), blocks=(block_of(upto),))


def block_of(number: int) -> BlockRef:
    return BlockRef(number, word(0xB10C << 64 | number), UnixTime(1_700_000_000 + 12 * number))


def word(number: int) -> Bytes32:
    return Bytes32(f"0x{number:064x}")


def _account(kind: int, number: int) -> Address:
    return Address(f"0x{kind << 64 | number + 1:040x}")


def _events_of_a_market() -> Iterator[Event]:
    """Deposits and listings, then leases for ever: each is opened, and settled in the next busy block."""
    refs = _refs(1)
    for number in range(CLIENTS + PROVIDERS):
        who = _account(0xC1, number) if number < CLIENTS else _account(0xB2, number - CLIENTS)
        yield Deposited(next(refs), who, who, FUNDS)
    offers = [_offer(number) for number in range(1, OFFERS + 1)]
    for offer in offers:
        yield OfferListed(next(refs), offer)
    opened: Sequence[LeaseOpened] = ()
    turn = 0
    while True:
        turn += 1
        refs = _refs(BUSY * turn)
        yield from (_settled(next(refs), lease, offers[lease.offer - 1]) for lease in opened)
        opened = [_opened(next(refs), BATCH * turn + number, offers) for number in range(BATCH)]
        yield from opened


def _refs(number: int) -> Iterator[LogRef]:
    block, index = block_of(number), 0
    while True:
        yield LogRef(block, word(0x7A << 64 | number), index)
        index += 1


def _offer(number: int) -> Offer:
    provider = _account(0xB2, number % PROVIDERS)
    return Offer(
        OfferId(number), provider, ClassNumber(1 + number % 8), GpuCount(1_000), GpuCount(1_000), Bps(1_000), UnixTime(2**32 - 1), ARBITER,
        PRICE, Seconds(0), word(0x5E),
    )  # fmt: skip


def _opened(ref: LogRef, number: int, offers: Sequence[Offer]) -> LeaseOpened:
    client, offer = _account(0xC1, number % CLIENTS), offers[number % len(offers)]
    order = Order(
        client=client, classes=1 << offer.gpu_class, offer=OfferId(0), gpus=GpuCount(1 + number % 4), max_seconds=Seconds(600),
        min_seconds=Seconds(0), max_price=PRICE, min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=UnixTime(2**32 - 1),
        tip=TokenUnits(0), opener=ZERO_ADDRESS, acceptor=ZERO_ADDRESS, arbiter=ARBITER, spec=word(0x5EC << 64 | number), salt=number,
    )  # fmt: skip
    return LeaseOpened(ref, word(0x1EA << 64 | number), offer.id, client, OPENER, PRICE, order)


def _settled(ref: LogRef, opened: LeaseOpened, offer: Offer) -> LeaseSettled:
    locked = lock_of(opened.order, opened.price)
    paid, bond = earned_rounded_down(opened.price, opened.order.gpus, SERVED), bond_of(locked, offer.bond_bps, FLOOR)
    return LeaseSettled(ref, opened.lease, SERVED, word(0x4E), True, paid, TokenUnits(locked - paid), bond, TokenUnits(0))  # fmt: skip
