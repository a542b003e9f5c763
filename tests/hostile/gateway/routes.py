"""A gateway that lies on every answer: whatever an agent or a client asks for, it gets one lie after the other, for ever."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from marketplace.api.accounts import AccountAnswer, HeartbeatAnswer, ProviderAnswer
from marketplace.api.leases import LeaseAnswer, LogLength, OutputsAnswer
from marketplace.api.market import MarketAnswer
from marketplace.api.offers import OfferPage
from marketplace.api.orders import OrderAnswer
from marketplace.api.problems import ProblemTold
from marketplace.api.receipts import ReceiptsAnswer
from tests.hostile.gateway import lies
from tests.hostile.gateway.telling import questions

ROUTES: tuple[tuple[str, type], ...] = (
    (r"/logs\b", LogLength), (r"/leases/[^/]+$", LeaseAnswer), (r"/receipts\b", ReceiptsAnswer),
    (r"/outputs\b", OutputsAnswer), (r"/orders\b", OrderAnswer), (r"/heartbeats", HeartbeatAnswer),
    (r"/market\b", MarketAnswer), (r"/offers\b", OfferPage), (r"/accounts/", AccountAnswer),
    (r"/providers/", ProviderAnswer), (r"", ProblemTold),
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
