"""How often somebody may ask: token buckets by address and by account, one for each class of cost.

Buckets are in memory, so that a request is never answered late because of them. Behind, gateways tell each other through Redis what they let
through: all of them together let a sender have little more than one would. Without Redis each counts for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from math import ceil

from marketplace.domain.errors import StoreUnavailable, TooManyRequests
from marketplace.store.board import Board


class Cost(StrEnum):
    """What a request costs the gateway."""

    READ = "read"
    """An answer from memory or one row."""
    WRITE = "write"
    """A signature to be recovered, and something to be kept."""
    COSTLY = "costly"
    """Calls to the node, the whole book, or a signature on which nothing but this request rests."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second, and so many at once after a while of silence."""

    per_second: float
    burst: int


BY_ADDRESS: Mapping[Cost, Rate] = {
    Cost.READ: Rate(200, 4_000), Cost.WRITE: Rate(100, 2_000), Cost.COSTLY: Rate(40, 800),
}  # fmt: skip
BY_ACCOUNT: Mapping[Cost, Rate] = {
    Cost.READ: Rate(100, 2_000), Cost.WRITE: Rate(50, 1_000), Cost.COSTLY: Rate(20, 400),
}  # fmt: skip

MOST_BUCKETS = 100_000
"""The longest silent are forgotten first: a sender that is forgotten begins with a full bucket, as it would have by then."""
WINDOW_SECONDS = 10
SHARE_SECONDS = 1.0
"""How often gateways tell each other what they let through."""

Subject = tuple[str, Cost]


@dataclass(slots=True)
class _Bucket:
    rate: Rate
    left: float
    at: float
    untold: int = 0
    """What was let through since the others were told."""
    window: int = 0
    ours: int = 0
    others: int = 0
    """What we told, and what the others let through, in this window as far as we know."""

    def tell(self, window: int) -> int:
        """What is new to the others."""
        if window != self.window:
            self.window, self.ours, self.others = window, 0, 0
        told, self.untold = self.untold, 0
        self.ours += told
        return told

    def hear(self, total: int) -> None:
        """Take out what the others let through since we last heard of it; never more than another burst."""
        others = max(self.others, total - self.ours)
        self.left = max(-float(self.rate.burst), self.left - (others - self.others))
        self.others = others

    def fill(self, now: float) -> None:
        self.left = min(self.rate.burst, self.left + max(0.0, now - self.at) * self.rate.per_second)
        self.at = now


class RateLimits:
    """Lets requests through, or says how long to wait. ``clock`` counts seconds and never decides about money."""

    def __init__(
        self,
        board: Board | None,
        clock: Callable[[], float],
        by_address: Mapping[Cost, Rate] = BY_ADDRESS,
        by_account: Mapping[Cost, Rate] = BY_ACCOUNT,
    ) -> None:
        self._board, self._clock = board, clock
        self._rates = {True: by_address, False: by_account}
        self._buckets: OrderedDict[Subject, _Bucket] = OrderedDict()
        self._lock, self._sharing = threading.Lock(), threading.Lock()
        self._shared_at = clock()

    def admit_address(self, host: str, cost: Cost) -> None:
        """One request from this address. Raises TooManyRequests."""
        self._admit("address:" + network_of(host), cost, self._rates[True][cost])

    def admit_account(self, account: str, cost: Cost) -> None:
        """One request that this account signed. Raises TooManyRequests."""
        self._admit("account:" + account, cost, self._rates[False][cost])

    def is_due(self) -> bool:
        """Whether it is time to tell the other gateways."""
        return self._board is not None and self._clock() - self._shared_at >= SHARE_SECONDS

    def share(self) -> None:
        """Tell the other gateways what was let through here, and take what they let through out of our buckets. One thread at a time."""
        if self._board is None or not self._sharing.acquire(blocking=False):
            return
        try:
            self._shared_at = self._clock()
            window = int(self._shared_at // WINDOW_SECONDS)
            with self._lock:
                busy = {subject: bucket for subject, bucket in self._buckets.items() if bucket.untold}
                told = {subject: bucket.tell(window) for subject, bucket in busy.items()}
            totals = self._board.let_through(window, {f"{who}:{cost}": told[who, cost] for who, cost in told})
            with self._lock:
                for bucket, total in zip(busy.values(), totals, strict=True):
                    bucket.hear(total)
        except StoreUnavailable:
            return  # each for itself until Redis is back
        finally:
            self._sharing.release()

    def _admit(self, who: str, cost: Cost, rate: Rate) -> None:
        now = self._clock()
        with self._lock:
            bucket = self._bucket((who, cost), rate, now)
            bucket.fill(now)
            if bucket.left < 1:
                wait = max(1, ceil((1 - bucket.left) / rate.per_second))
                raise TooManyRequests(
                    f"more than {rate.per_second:g} {cost} requests a second of {who.partition(':')[0]}", wait
                )
            bucket.left -= 1
            bucket.untold += 1

    def _bucket(self, subject: Subject, rate: Rate, now: float) -> _Bucket:
        found = self._buckets.pop(subject, None) or _Bucket(rate, rate.burst, now)
        self._buckets[subject] = found
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return found


@lru_cache(maxsize=4_096)
def network_of(host: str) -> str:
    """Whom an address stands for: itself, or the /64 that one subscriber of IPv6 has all of."""
    try:
        found = ip_address(host)
    except ValueError:
        return "unknown"
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> 64 << 64))
