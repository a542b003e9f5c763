"""Pages: the rows of a snapshot's long tables, in files named by their hash, each written when its rows came.

A page never changes. What is gone of it is said beside it, in the snapshot's document, until so much is that the rest is written anew. So a
round writes what is new in it, and shares its other pages with the rounds before. Which rows stand on which pages is the writer's choice:
from another's pages the same rows are read.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marketplace.domain.canonical import parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256, sha256_of
from scheduler.engine.documents.forms import Row, encoded, listed, object_of
from scheduler.engine.documents.records import TABLES, Keyed, PageRef

PAGE_ROWS = 4_096
PAGE_LETTERS = 4 << 20
"""A page with so many letters takes no further row."""
MAX_PAGE_BYTES = 32 << 20
"""Of a page, unpacked: its letters in UTF-8, and one row more."""
MAX_ROWS_BYTES = 2 << 30
"""Of all pages of a snapshot, unpacked: more than a million orders."""
MAX_ROWS = 8 << 20
"""Of all these pages: those of a million orders, and what is gone. Short rows take less of a page than of an auditor's memory."""
SMALL_ROWS = 512
MOST_SMALL = 16
"""Where there are more pages with fewer than ``SMALL_ROWS`` rows left, those rows are written anew, together."""
_LEVEL = 1
"""Most of a row is hashes and addresses: to look longer finds little more in them."""


# What strangers wrote -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that was read: its rows table by table, those of each by rank."""

    content: bytes
    unpacked: int
    """Bytes of its rows."""
    entries: Sequence[tuple[str, Keyed]]


def read_page(ref: PageRef, content: bytes) -> ReadPage:
    """Read a page. It must be what its name says, unpack to no more than a page may hold, and have one form only. Raises InvalidField."""
    if sha256_of(content) != ref.sha256:
        raise InvalidField("page", f"must hash to {ref.sha256}")
    text = _unpacked(content)
    row = Row(parse_json(text, field="page"), "page")
    entries = [(name, one) for name, form in TABLES.items() if row.has(name) for one in row.rows(name, form.read)]
    row.end()
    ranks = [(table, TABLES[table].rank(entry)) for table, entry in entries]
    if ranks != sorted(ranks) or _packed([(table, TABLES[table].text(entry)) for table, entry in entries]) != text:
        raise InvalidField("page", "must be canonical JSON with its rows sorted")
    return ReadPage(content, len(text), entries)


def _unpacked(content: bytes) -> bytes:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(content, MAX_PAGE_BYTES)
    except zlib.error as exc:
        raise InvalidField("page", f"cannot be unpacked: {exc}") from None
    if not unpacking.eof or unpacking.unused_data:
        raise InvalidField("page", f"must unpack to at most {MAX_PAGE_BYTES} bytes, and end there")
    return text


# What we write --------------------------------------------------------------------------------------------------------


class _Kept:
    """A row, and where it stands; nowhere yet before its page is written."""

    __slots__ = ("key", "page", "position", "table", "value")

    def __init__(self, table: str, key: Any, value: Any) -> None:
        self.table, self.key, self.value = table, key, value
        self.page: ListedPage | None = None
        self.position = 0


class ListedPage:
    """A page that is listed, and what is left of it."""

    __slots__ = ("content", "gone", "left", "rows", "sha256")

    def __init__(self, sha256: Sha256, content: bytes, rows: list[_Kept | None], gone: bytes = b"") -> None:
        self.sha256, self.content, self.rows = sha256, content, rows
        self.gone = bytearray(gone.ljust((len(rows) + 7) // 8, b"\0"))
        self.left = len(rows)
        for position, row in enumerate(rows):
            if row is None:
                self.left -= 1
            else:
                row.page, row.position = self, position

    @classmethod
    def of(cls, ref: PageRef, page: ReadPage) -> ListedPage:
        """Of a page that was read. Raises InvalidField for one of which nothing is left, and for rows gone that it never had."""
        rows, gone = len(page.entries), ref.gone.ljust((len(page.entries) + 7) // 8, b"\0")
        flags = f"{int.from_bytes(gone):0{8 * len(gone)}b}" if 8 * len(gone) < rows + 8 else ""
        if "0" not in flags[:rows] or "1" in flags[rows:]:
            raise InvalidField("page", "must have rows left, and no others gone than it has")
        left = [
            None if flag == "1" else _Kept(table, *entry)
            for flag, (table, entry) in zip(flags, page.entries, strict=False)
        ]
        return cls(ref.sha256, page.content, left, gone)

    def strike(self, position: int) -> None:
        self.gone[position >> 3] |= 128 >> (position & 7)
        self.rows[position] = None
        self.left -= 1

    @property
    def ref(self) -> PageRef:
        return PageRef(self.sha256, len(self.content), bytes(self.gone.rstrip(b"\0")))


class PagedTables:
    """The rows of all tables on their pages. ``change`` them, then ``settle``."""

    def __init__(self, pages: Iterable[ListedPage] = ()) -> None:
        """Raises InvalidField where a row is there twice."""
        self._rows: dict[str, dict[Any, _Kept]] = {table: {} for table in TABLES}
        self._fresh: list[_Kept] = []
        self._has_changed = False
        self.pages = list(pages)
        for row in (row for one in self.pages for row in one.rows if row is not None):
            if row.key in self._rows[row.table]:
                raise InvalidField(f"snapshot.{row.table}", "has a row twice")
            self._rows[row.table][row.key] = row

    def keys(self, table: str) -> Mapping[Any, object]:
        """What the table has."""
        return self._rows[table]

    def rows(self, table: str) -> dict[Any, Any]:
        return {key: row.value for key, row in self._rows[table].items()}

    def restate(self, table: str, key: Any, value: Any) -> None:
        """The same row in other words: what is written of it does not change."""
        self._rows[table][key].value = value

    def change(self, table: str, news: Mapping[Any, Any]) -> tuple[list[Any], list[Any]]:
        """Take in the present rows of these keys, None for those that are gone; which rows have gone and come. Each key once before
        ``settle``."""
        rows, gone, come = self._rows[table], list[Any](), list[Any]()
        for key, value in news.items():
            kept = rows.get(key)
            if kept is not None:
                if kept.value is value or kept.value == value:
                    continue
                gone.append(kept.value)
                if kept.page is not None:
                    kept.page.strike(kept.position)
                del rows[key]
            if value is not None:
                come.append(value)
                rows[key] = fresh = _Kept(table, key, value)
                self._fresh.append(fresh)
        self._has_changed |= bool(gone or come)
        return gone, come

    def settle(self) -> None:
        """Write what has come, and what is left on pages that are nearly empty. Where nothing has changed, nothing is."""
        if not self._has_changed:
            return
        self.pages = [one for one in self.pages if one.left]
        worn = self._worn()
        self.pages = [one for one in self.pages if one not in worn]
        self.pages += _pages([*self._fresh, *(row for one in worn for row in one.rows if row is not None)])
        self._fresh, self._has_changed = [], False

    def _worn(self) -> list[ListedPage]:
        """Pages to be written anew: the small ones where there are many, and the emptiest where more than every other row is gone."""
        small = [one for one in self.pages if one.left < SMALL_ROWS]
        worn = small if len(small) > MOST_SMALL else []
        left = sum(one.left for one in self.pages)
        gone = sum(len(one.rows) - one.left for one in self.pages if one not in worn)
        for one in sorted(self.pages, key=lambda one: one.left / len(one.rows)):
            if gone <= left + PAGE_ROWS:
                break
            if one not in worn:
                worn.append(one)
                gone -= len(one.rows) - one.left
        return worn


def _pages(rows: Iterable[_Kept]) -> Iterator[ListedPage]:
    """New pages of these rows."""
    tables, texts, letters = defaultdict[str, list[_Kept]](list), list[tuple[str, str]](), 0
    for row in rows:
        tables[row.table].append(row)
    ordered = [row for table in sorted(tables) for row in sorted(tables[table], key=TABLES[table].rank)]
    for n, row in enumerate(ordered, 1):
        text = TABLES[row.table].text(row)
        texts.append((row.table, text))
        letters += len(text)
        if letters >= PAGE_LETTERS or len(texts) == PAGE_ROWS or n == len(ordered):
            content = zlib.compress(_packed(texts), _LEVEL)
            yield ListedPage(sha256_of(content), content, [*ordered[n - len(texts) : n]])
            texts, letters = [], 0


def _packed(texts: Iterable[tuple[str, str]]) -> bytes:
    """A page, unpacked, of rows by their tables."""
    tables = defaultdict[str, list[str]](list)
    for table, text in texts:
        tables[table].append(text)
    return encoded(object_of({table: listed(rows) for table, rows in tables.items()}), "page")
