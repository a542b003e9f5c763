"""Lists that come in pages, read to their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar
from urllib.parse import urlencode

from marketplace.api.reading import MOST_LIST_BYTES, read
from marketplace.domain.errors import UnreadableAnswer

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_MOST_PAGES = 1000


class Page(Protocol[T_co]):
    """A record that lists things, and says from where the list goes on."""

    @property
    def items(self) -> Sequence[T_co]: ...
    @property
    def next(self) -> str | None: ...


def all_items(
    kind: type[Page[T]], path: str, query: Mapping[str, object], get: Callable[[str], bytes], check: Callable[[Any], None] | None = None
) -> Iterator[T]:  # fmt: skip
    """The items of all pages, each of which ``check`` looks at first. A list that goes round in circles, or on for ever, raises
    UnreadableAnswer."""
    after: str | None = None
    seen = set[str]()
    while True:
        asked = {key: value for key, value in {**query, "after": after}.items() if value is not None}
        page = read(kind, get(path + (f"?{urlencode(asked)}" if asked else "")), most_bytes=MOST_LIST_BYTES)
        if check is not None:
            check(page)
        yield from page.items
        after = page.next
        if after is None:
            return
        if after in seen or not page.items or len(seen) > _MOST_PAGES:
            raise UnreadableAnswer("next", "must lead on, and to an end")
        seen.add(after)
