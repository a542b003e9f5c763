"""A gateway that lies on every answer: whatever an agent or a client asks for, it gets one lie after the other, for ever."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from marketplace.api import records
from tests.hostile.gateway import lies
from tests.hostile.gateway.telling import questions

ROUTES: tuple[tuple[str, type], ...] = (
    (r"/logs\b", records.LogLength), (r"/leases/[^/]+$", records.LeaseAnswer), (r"/receipts\b", records.Receipts),
    (r"/outputs\b", records.Outputs), (r"/orders\b", records.OrderAnswer), (r"/heartbeats", records.HeartbeatAnswer),
    (r"/market\b", records.MarketAnswer), (r"/offers\b", records.OfferPage), (r"/accounts/", records.AccountAnswer),
    (r"/providers/", records.ProviderAnswer), (r"", records.Problem),
)  # fmt: skip
STATUSES = (200, 200, 201, 200, 409, 200, 404, 422, 200, 503, 401, 200, 500, 429)
"""A lie in the body, with each of these in turn."""


class Liar:
    """Answers every request with another lie than the last one of its kind."""

    def __init__(self) -> None:
        self.told = 0
        self._by_route = {pattern: itertools.cycle(_all_about(kind)) for pattern, kind in ROUTES}
        self._statuses = itertools.cycle(STATUSES)

    def __call__(self, method: str, path: str) -> tuple[int, bytes]:
        self.told += 1
        lies_here = next(self._by_route[pattern] for pattern, _ in ROUTES if re.search(pattern, path.partition("?")[0]))
        return next(self._statuses), next(lies_here)


def _all_about(kind: type) -> Iterator[bytes]:
    """The bodies of all lies, the worst ones, which have no form at all, now and then."""
    questions()  # says what documents within answers look like
    document = lies.honest(kind, {})
    return iter([lie.body for lie in lies.lies(kind, document, frozenset()) if len(lie.body) < 1 << 20])
