"""Pages: rounds share what has not changed, from any split the same rows are read, and no page can hide anything."""

from __future__ import annotations

import json
import random
import zlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace.domain import editions
from marketplace.domain.errors import InvalidField, NotFound
from marketplace.domain.fills import Fill
from marketplace.domain.ids import OfferId, Sha256
from marketplace.domain.units import PricePerGpuHour
from scheduler.engine.clear import clear
from scheduler.engine.documents import pages, reading
from scheduler.engine.documents.document import SnapshotWriter
from scheduler.engine.documents.reading import SnapshotReader
from scheduler.engine.documents.snapshot import Snapshot
from scripts.bench.generators import Uniform
from tests.unit.engine.changing import Changing
from tests.unit.engine.markets import a_record, a_snapshot, an_offer, an_order
from tests.unit.engine.opened import page_of, read_back, read_listing, reader_of
from tests.unit.engine.test_document import whole_market

MARKET = Uniform(orders=400, offers=100)
TINY = {"PAGE_ROWS": 8, "SMALL_ROWS": 2, "MOST_SMALL": 4}


@contextmanager
def tiny_pages(**others: int) -> Iterator[None]:
    """So that a small market has many pages, and they wear out soon."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (TINY | others).items():
            patch.setattr(pages, name, value)
        yield


def plainly(snapshot: Snapshot) -> object:
    """All that the snapshot says, in one form: as one writes it who begins with it."""
    begun = replace(snapshot, writer=SnapshotWriter())
    return begun.canonical(), begun.pages


def is_read_back(snapshot: Snapshot, reader: SnapshotReader) -> bool:
    """The same rows, the same document, the same plan."""
    again = reader.read(snapshot.canonical())
    return (
        plainly(again) == plainly(snapshot)
        and (again.canonical(), again.pages) == (snapshot.canonical(), snapshot.pages)
        and clear(again).canonical() == clear(snapshot).canonical()
    )


# Any history, any split -----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2**32), min_size=1, max_size=6))
def test_a_snapshot_is_read_back_whatever_its_writer_wrote_before(seeds: list[int]) -> None:
    """Markets that have nothing to do with each other, on pages of eight rows: each can be read from its document and pages, and cleared again,
    bit for bit (P-22), by one who has just begun and by one who has read the others."""
    writer, follower = SnapshotWriter(), list[Snapshot]()
    with tiny_pages():
        for seed in seeds:
            snapshot = replace(whole_market(random.Random(seed)), writer=writer)
            follower.append(snapshot)

            assert is_read_back(snapshot, reader_of(snapshot))
        reader = reader_of(*follower)
        assert all(is_read_back(snapshot, reader) for snapshot in follower)


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_is_told_what_changed_writes_what_there_is(seed: int) -> None:
    """Over thirty rounds of editions; rounds are skipped, now and then a table is no edition."""
    draw, writer = random.Random(seed), SnapshotWriter()
    market = Changing(draw)
    with tiny_pages():
        for _ in range(20):
            for _ in range(draw.choice([1, 1, 2, 20])):
                market.step()
            snapshot = replace(market.snapshot, writer=writer)

            assert is_read_back(snapshot, reader_of(snapshot))


@pytest.mark.parametrize("small", [1, 2])
def test_pages_stay_few_and_full(small: int) -> None:
    """However many rounds there were: at most every other row that is kept is gone, but for a page's, and small pages are put together."""
    market, writer = Uniform(orders=60, offers=10), SnapshotWriter()
    snapshot = market.snapshot(1)
    with tiny_pages(SMALL_ROWS=small):
        for turn in range(60):
            snapshot = replace(market.churned(snapshot, turn, share=0.06), writer=writer)
            rows = [_rows_of(page) for page in snapshot.pages.values()]
            left = [number - _gone_of(page) for number, page in zip(rows, _listed(snapshot), strict=True)]

            assert min(left) > 0
            assert max(rows) <= TINY["PAGE_ROWS"]
            assert sum(rows) <= 2 * (sum(left) + TINY["PAGE_ROWS"])
            assert sum(number < small for number in left) <= TINY["MOST_SMALL"] + 1


def _listed(snapshot: Snapshot) -> list[dict[str, Any]]:
    return list(json.loads(snapshot.canonical())["pages"])


def _rows_of(page: bytes) -> int:
    return sum(map(len, json.loads(zlib.decompress(page)).values()))


def _gone_of(page: dict[str, Any]) -> int:
    return int.from_bytes(b64decode(page["gone"])).bit_count()


# What is shared -------------------------------------------------------------------------------------------------------


def test_a_later_round_writes_what_has_come_and_shares_the_rest() -> None:
    """Of 400 orders and 100 offers a hundredth is another: one small page is new, and all others are listed again."""
    first = MARKET.snapshot(1)
    second = MARKET.churned(first, 2)
    third = MARKET.churned(second, 3)
    documents = [(one.canonical(), one.pages) for one in (first, second, third)]

    for (_, before), (document, now) in pairwise(documents):
        (name,) = now.keys() - before.keys()
        rows = json.loads(zlib.decompress(now[name]))
        assert before.keys() < now.keys()
        assert (len(rows["orders"]), len(rows["offers"])) == (4, 1)
        assert len(rows["accounts"]) <= 5
        assert len(document) + len(now[name]) < sum(map(len, now.values())) / 10


def test_a_page_is_written_and_fetched_once() -> None:
    """Twenty rounds, read from the last to the first as an audit does: each page is asked for once, however many rounds list it."""
    market, known, asked = Uniform(orders=200, offers=50), dict[Sha256, bytes](), Counter[Sha256]()
    snapshot = market.snapshot(1)
    rounds = [snapshot.canonical()]
    for turn in range(20):
        known |= snapshot.pages
        snapshot = market.churned(snapshot, turn)
        rounds.append(snapshot.canonical())
    known |= snapshot.pages

    def fetch(name: Sha256, limit_bytes: int) -> bytes:
        asked[name] += 1
        return known[name]

    reader = SnapshotReader(fetch)
    for document in reversed(rounds):
        assert reader.read(document).canonical() == document
        assert reader.read(document) is reader.read(document)
    assert asked == Counter(known.keys())


def test_rows_that_are_equal_are_the_same_rows() -> None:
    """Whoever has read all of the book anew has other objects, and the same pages."""
    first = MARKET.snapshot(1)
    view, before = first.view, first.pages
    copied = [tuple(map(replace, rows)) for rows in (view.orders, view.offers)]
    second = replace(first, view=replace(view, orders=copied[0], offers=copied[1], accounts=dict(view.accounts)))

    assert (second.pages, second.canonical()) == (before, first.canonical())


def test_a_lease_is_told_as_long_as_its_order_is_on_the_book_or_was_just_posted() -> None:
    """Also where the table of leases says that nothing has changed in it."""
    order, other = an_order("posted"), an_order("waits")
    leases = editions.Table({order.id: a_record(order, opened_at=1)})
    fill = Fill(order.signed, OfferId(1), PricePerGpuHour(1))
    snapshot, told = a_snapshot([other], leases=leases), list[int]()
    for posted in ((), (fill,), (), (fill,)):
        snapshot = replace(snapshot, posted=posted)
        told.append(len(read_back(snapshot).view.leases))

    assert told == [0, 1, 0, 1]


def test_a_page_takes_no_more_than_a_reader_may_unpack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long rows make shorter pages."""
    monkeypatch.setattr(pages, "PAGE_LETTERS", 3_000)
    snapshot = MARKET.snapshot(2)
    sizes = [len(zlib.decompress(page)) for page in snapshot.pages.values()]

    assert len(sizes) > 50
    assert max(sizes) < 4_000
    assert is_read_back(snapshot, reader_of(snapshot))


def test_a_writer_that_failed_begins_anew() -> None:
    """What it had half taken in is forgotten: the next snapshot is whole. Here a row that nobody can write comes in every round."""
    market, draw = Uniform(orders=40, offers=10), random.Random(1)
    snapshot = market.snapshot(1)
    with tiny_pages():
        for turn in range(8):
            snapshot = market.churned(snapshot, turn, share=0.2)
            order = draw.choice(snapshot.view.orders)
            crooked = {order.id: a_record(order, exit_event="\ud800")}
            with pytest.raises(InvalidField, match="surrogates"):
                replace(snapshot, view=replace(snapshot.view, leases=crooked)).canonical()

            assert plainly(read_back(snapshot)) == plainly(snapshot)


# Strangers' pages -----------------------------------------------------------------------------------------------------


def _document() -> tuple[dict[str, Any], bytes]:
    snapshot = a_snapshot([an_order(), an_order("other")], [an_offer()])
    (page,) = snapshot.pages.values()
    return json.loads(snapshot.canonical()), page


def _bits(*flags: int) -> str:
    return b64encode(bytes(flags)).decode()


def _with_more(page: bytes, more: bytes) -> bytes:
    return zlib.compress(zlib.decompress(page) + more)


BOMB = zlib.compress(b" " * (pages.MAX_PAGE_BYTES + 1))
CROOKED: dict[str, tuple[str, Callable[[bytes], list[bytes]], str]] = {
    "not packed": ("cannot be unpacked", lambda page: [zlib.decompress(page)], ""),
    "cut short": ("must unpack to at most", lambda page: [page[:-9]], ""),
    "with something after it": ("and end there", lambda page: [page + b"more"], ""),
    "a bomb": ("must unpack to at most", lambda page: [BOMB], ""),
    "not JSON": ("not valid JSON", lambda page: [_with_more(page, b"}")], ""),
    "in another spelling": ("canonical", lambda page: [_with_more(page, b" ")], ""),
    "without rows": ("must have rows left", lambda page: [page, zlib.compress(b"{}")], ""),
    "listed twice": ("listed once", lambda page: [page, page], ""),
    "with a row of another page": (
        "has a row twice", lambda page: [page, zlib.compress(zlib.decompress(page), 9)], "",
    ),
    "all gone": ("must have rows left", lambda page: [page], _bits(0xFE)),
    "gone where there is no row": ("no others gone", lambda page: [page], _bits(0x01)),
    "gone beyond the page": ("no others gone", lambda page: [page], _bits(0x80, 0x80)),
    "gone as no base64": ("must be base64", lambda page: [page], "?"),
    "gone with zeros at the end": ("none to spare", lambda page: [page], _bits(0)),
}  # fmt: skip


@pytest.mark.parametrize("name", CROOKED)
def test_a_crooked_page_is_refused(name: str) -> None:
    """Whatever a stranger hands out under a page's name, or says is gone of it: the answer is a typed error, and bounded work."""
    rule, change, gone = CROOKED[name]
    document, page = _document()

    with pytest.raises(InvalidField) as caught:
        read_listing(document, change(page), gone)

    assert rule in str(caught.value)
    assert caught.value.field.startswith("snapshot")


def test_the_document_of_these_tests_can_be_read() -> None:
    """It is refused for its pages only; and what is gone from a page is not read from it."""
    document, page = _document()
    snapshot = read_listing(document, [page])
    offers = _position_of("offers", page)
    without = read_listing(document | {"heartbeats": []}, [page], _bits(*_strangers_gone(page, offers)))

    assert (len(snapshot.view.orders), len(snapshot.view.offers)) == (2, 1)
    assert (len(without.view.orders), len(without.view.offers)) == (2, 0)


def _position_of(table: str, page: bytes) -> int:
    tables = json.loads(zlib.decompress(page))
    return sum(len(rows) for name, rows in tables.items() if name < table)


def _strangers_gone(page: bytes, offer: int) -> list[int]:
    """The only offer, its provider's account and its machine: nobody names those any more."""
    tables = json.loads(zlib.decompress(page))
    provider = [row["account"] for row in tables["accounts"]].index(tables["offers"][0]["provider"])
    bits = [0] * 8
    for position in (offer, provider, _position_of("machines", page)):
        bits[position] = 1
    return [int("".join(map(str, bits)), 2)]


def test_a_page_is_what_its_name_says_and_not_longer_than_a_page() -> None:
    """Another content under its name is refused; what is said to be longer than any page is not fetched at all."""
    document, page = _document()
    document["pages"] = [page_of(page)]

    def other(name: Sha256, limit_bytes: int) -> bytes:
        assert limit_bytes == len(page)
        return zlib.compress(b"{}")

    def missing(name: Sha256, limit_bytes: int) -> bytes:
        raise NotFound("page", name)

    told = json.dumps(document, sort_keys=True, separators=(",", ":"))
    with pytest.raises(InvalidField, match="must hash to"):
        SnapshotReader(other).read(told.encode())
    with pytest.raises(NotFound):
        SnapshotReader(missing).read(told.encode())
    document["pages"][0]["bytes"] = pages.MAX_PAGE_BYTES + 1
    told = json.dumps(document, sort_keys=True, separators=(",", ":"))
    with pytest.raises(InvalidField, match="at most"):
        SnapshotReader(missing).read(told.encode())


def test_a_snapshot_has_no_more_pages_than_an_auditor_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """All together they may unpack to so much, and to so many rows; what the first of them shows to be more is not fetched to its end."""
    snapshot = a_snapshot([an_order()], [an_offer()])
    (page,) = snapshot.pages.values()
    for name, most in (("MAX_ROWS_BYTES", len(zlib.decompress(page))), ("MAX_ROWS", _rows_of(page))):
        monkeypatch.setattr(reading, name, most)
        assert read_back(snapshot).sha256 == snapshot.sha256
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reading, name, most - 1)
            with pytest.raises(InvalidField, match="all pages above"):
                read_back(snapshot)
