"""The names of everything on the board, in one place.

The braces make a Redis Cluster keep all of it on one node: what is written together must live together.
"""

from __future__ import annotations

from marketplace.domain.ids import Address, Bytes32, OfferId

ROOT = "{bourse}"


def _projection(name: str) -> str:
    return f"{ROOT}:projection:{name}"


HEAD = _projection("head")
"""Hash: whose projection this is, at which block, and the fence. It is gone exactly when the projection is gone."""

ACCOUNTS = _projection("accounts")
BUDGETS = _projection("budgets")
"""Hash by ``budget_field``: what delegates may still spend."""
VOLUMES = _projection("volumes")
OFFERS = _projection("offers")
LEASES = _projection("leases")
REOPENABLE = _projection("reopenable")
"""The leases that are live or may be opened again: what a round looks at, out of a history that only grows."""
BOOK = _projection("book")
BOOK_EXPIRY = _projection("book-expiry")
"""Sorted set: the orders on the book by ``expires_at``."""
MACHINES = _projection("machines")
REPUTATIONS = _projection("reputations")
"""Hash by provider: what its leases came to; what companies' came to, by their owners."""
OWNERS = _projection("owners")
"""Hash by company: its owner, where that made it itself."""
FAULTS = _projection("faults")
"""Hash by client: how many of the scheduler's fills it has spoilt."""
HISTORY = _projection("history")
"""Hash: what GPUs of each class cost over time, and how many there were, by spans."""
TOTALS = _projection("totals")
"""Hash: what the market owes, all together."""
ANNALS = _projection("annals")
"""Sorted set, of one rank: lines of the past, by whose they are (``board_annals``)."""
REFUSED = _projection("refused")
REFUSED_AT = _projection("refused-at")
"""Sorted set: refused pairs by block number."""

PROJECTION_HASHES = (
    ACCOUNTS,
    BUDGETS,
    VOLUMES,
    OFFERS,
    LEASES,
    REOPENABLE,
    BOOK,
    MACHINES,
    REPUTATIONS,
    OWNERS,
    FAULTS,
    REFUSED,
    HISTORY,
    TOTALS,
)
VIEWED = (BOOK, OFFERS, ACCOUNTS, REOPENABLE, MACHINES, REFUSED, BUDGETS, REPUTATIONS, OWNERS, FAULTS)
"""What a view is made of."""
OFFERED = (OFFERS, MACHINES, REPUTATIONS, OWNERS)
"""What a view of the offers alone is made of."""
TOUCHED = _projection("touched")
"""List: each ``key field`` of these hashes that the last steps changed, and between the steps the fences."""

UNDO = _projection("undo")
"""List: for each of the last steps the block that it began at, and the rows as they were before it."""

PROJECTION = (HEAD, *PROJECTION_HASHES, BOOK_EXPIRY, REFUSED_AT, ANNALS, TOUCHED, UNDO)


def lead(name: str) -> str:
    """Who leads the daemons of this name: the token of one of them."""
    return f"{ROOT}:lead:{name}"


HEARTBEATS = f"{ROOT}:heartbeats"

CHAIN_TOPIC = "chain"
"""The topic of the market's own events."""
LIVE_TOPIC = "live"
"""New blocks, blocks that left the chain, what changed on the book and among the offers."""
BEATS_TOPIC = "beats"
"""Signs of life."""


def events(topic: str) -> str:
    return f"{ROOT}:events:{topic}"


def hint(name: str) -> str:
    return f"{ROOT}:hint:{name}"


def log(lease: Bytes32) -> str:
    return f"{ROOT}:log:{lease}"


def log_serving(lease: Bytes32) -> str:
    """Which serving of the lease the log is of."""
    return f"{ROOT}:log-serving:{lease}"


def log_hint(lease: Bytes32) -> str:
    return f"{ROOT}:log-hint:{lease}"


def measurement(offer: OfferId) -> str:
    """What the provider's agent saw of the GPUs behind an offer."""
    return f"{ROOT}:measurement:{offer}"


def warm_images(provider: Address) -> str:
    """Which container images a provider has unpacked."""
    return f"{ROOT}:warm-images:{provider}"


def gpu_samples(lease: Bytes32) -> str:
    """How busy the GPUs of a lease were lately."""
    return f"{ROOT}:gpu-samples:{lease}"


def job_samples(lease: Bytes32) -> str:
    """What the job of a lease used lately."""
    return f"{ROOT}:job-samples:{lease}"


def declines(lease: Bytes32) -> str:
    """Hash by provider and opening: why it gave the lease back."""
    return f"{ROOT}:declines:{lease}"


def job_key(lease: Bytes32) -> str:
    """The key of a sealed job, sealed to the provider of the lease's newest opening."""
    return f"{ROOT}:job-key:{lease}"


def host_key(lease: Bytes32) -> str:
    """By what the machine of the lease's newest opening is known to those who sit at it."""
    return f"{ROOT}:host-key:{lease}"


def let_through(window: int, who: str) -> str:
    """How many requests of one sender all gateways let through in one window of time."""
    return f"{ROOT}:let-through:{window}:{who}"


def said(order: Bytes32) -> str:
    """How often something was said about an order that is in the journal only."""
    return f"{ROOT}:said:{order}"


def explanation(order: Bytes32) -> str:
    return f"{ROOT}:explanation:{order}"
