"""Which of several nodes is asked: the first in order of preference that is well.

A node is well when it answers, when it serves the same chain as the others (chain id, genesis block, the market's code: checked before
its first use and whenever it comes back), and when its head is not behind. One that is not is left alone for a while that doubles, with jitter,
unless no other answers; one that was left for another is taken up again when it has been well for a while.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any, Final

from marketplace.chain.headers import Header, HeaderReader
from marketplace.chain.nodes import Calls, Node
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, RateLimited, WrongChain
from marketplace.domain.ids import Address, Bytes32
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

_WRONG_SECONDS: Final = 300.0
"""How long a node of another chain is left alone: somebody has to mend it."""
_PROBE_TIMEOUT_SECONDS: Final = 3.0
_ALLOWED_BLOCKS: Final = 2
"""So far behind the highest head is not behind: nodes hear of a block at different moments."""
_TELLERS: Final = 16
_CALL_FAILURES: Final = 3
"""So many calls in a row without an answer, and the node counts as failing although it tells its head."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a node is left alone, and given to recover."""

    first_seconds: float = 1.0
    limit_seconds: float = 60.0
    """How long after a first failure a node is not asked, and at most after many."""
    probe_seconds: float = 5.0
    """How often a preferred node that is not in use is asked for its head, while it answers."""
    return_seconds: float = 15.0
    """How long it must have been well before it is used again: a node that comes and goes is no gain."""
    stale_seconds: float = 15.0
    """A head that has not moved for so long makes us ask the other nodes for theirs."""

    def pause(self, failures: int) -> float:
        """Doubling, capped, with jitter: all the processes of a market leave a node at the same moment."""
        return min(self.limit_seconds, self.first_seconds * 2.0 ** min(failures - 1, 16)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Identity:
    """What all nodes of one chain have in common. None: not known, or not asked for."""

    chain_id: int | None = None
    genesis: Bytes32 | None = None
    market: Address | None = None
    market_code: str | None = None
    """sha256 of it."""


@dataclass(slots=True)
class NodeHealth:
    """What we know of one node's health. Times are of the monotonic clock."""

    node: Node
    failures: int = 0
    call_failures: int = 0
    not_before: float = -inf
    is_verified: bool = False
    head: Header | None = None
    told_at: float = -inf
    """When it last told its head."""
    moved_at: float = -inf
    """When its head last changed."""
    well_since: float = inf

    def tells(self, head: Header) -> None:
        now = monotonic()
        if self.head is None or head.ref.hash != self.head.ref.hash:
            self.moved_at = now
        self.head, self.told_at = head, now
        self.failures, self.not_before = 0, -inf

    def fails(self, why: ChainError, patience: Patience) -> None:
        """Leave it alone for a while: twice as long each time, or for as long as it asked for."""
        self.failures += 1
        pause = patience.pause(self.failures)
        if isinstance(why, WrongChain):
            pause = _WRONG_SECONDS
        elif isinstance(why, RateLimited):
            pause = max(pause, why.retry_after_seconds)
        self.not_before = monotonic() + pause
        self.is_verified, self.well_since, self.call_failures = False, inf, 0


@dataclass(slots=True)
class Roster:
    """The nodes of one chain, in order of preference. ``newest`` is where one is chosen; it is called by one thread at a time."""

    standings: Sequence[NodeHealth]
    patience: Patience
    reader: HeaderReader
    expected: Identity = field(default_factory=Identity)
    current: NodeHealth = field(init=False)
    _tellers: dict[Bytes32, Node] = field(default_factory=dict)
    """Which node told of the last heads, so that a decision at one of them asks no other."""
    _shared: tuple[Node, Bytes32] | None = None
    """A node, and a head of another one that its chain has: asked for once."""
    _changing: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.current = self.standings[0]

    @property
    def _is_alone(self) -> bool:
        return len(self.standings) == 1

    def newest(self) -> Header:
        """The newest head, of the node that is used from now on.

        Raises what the last node said when none tells a head: ChainUnavailable, or WrongChain where none serves our chain.
        """
        if self._is_alone:
            return self._head_of(self.current.node)
        with self._changing:
            self._look_around()
            told = self._told()
            chosen = max(told, key=lambda standing: standing.head.ref.number if standing.head else -1)
            # The first of those that are level: the one in use, or the one that is preferred.
            chosen = next(standing for standing in told if not self._is_behind(standing, chosen))
            self._use(chosen)
            assert chosen.head is not None, "it has just told it"
            self._tellers[chosen.head.ref.hash] = chosen.node
            if len(self._tellers) > _TELLERS:
                del self._tellers[next(iter(self._tellers))]
            return chosen.head

    def teller(self, head: Header) -> Node:
        """The node that told of this head, if it was one of the last, or else the one that is used now."""
        return self._tellers.get(head.ref.hash, self.current.node)

    def require(self, *, chain_id: int | None = None, market: Address | None = None) -> None:
        """From now on use nodes only that serve this chain, and this contract.

        All nodes that answer are looked at. Raises WrongChain where none of them does, ChainUnavailable where none answers.
        """
        with self._changing:
            former = self.expected
            if chain_id is not None:
                self.expected = replace(self.expected, chain_id=chain_id)
            if market is not None and market != self.expected.market:
                self.expected = replace(self.expected, market=market, market_code=None)
            problems: list[ChainError] = []
            for standing in self.standings:
                standing.is_verified = False
                try:
                    self._verify(standing)
                except (ChainUnavailable, WrongChain) as exc:
                    self._note_failure(standing, exc)
                    problems.append(exc)
            verified = [standing for standing in self.standings if standing.is_verified]
            if not verified:
                self.expected = former
                raise next((one for one in problems if isinstance(one, WrongChain)), problems[0])
            if not self.current.is_verified:
                self._use(verified[0])

    def answered(self, node: Node) -> None:
        """A call other than for the head was answered by this node."""
        if not self._is_alone:
            self._of(node).call_failures = 0

    def unanswered(self, node: Node, why: ChainUnavailable) -> None:
        """One was not. After some in a row another node is used, from the next decision on."""
        if self._is_alone:
            return
        with self._changing:
            standing = self._of(node)
            standing.call_failures += 1
            if standing.call_failures >= _CALL_FAILURES or isinstance(why, RateLimited):
                self._note_failure(standing, why)

    def _of(self, node: Node) -> NodeHealth:
        return next(standing for standing in self.standings if standing.node is node)

    def _told(self) -> list[NodeHealth]:
        """The nodes that tell a head: the one in use alone if it is well and not behind, others as far as needed."""
        told: list[NodeHealth] = []
        problem: ChainError | None = None
        for standing in self._ranked():
            try:
                self._verify(standing)
                standing.tells(self._head_of(standing.node))
            except (ChainUnavailable, WrongChain) as exc:
                self._note_failure(standing, exc)
                problem = exc if problem is None or isinstance(problem, WrongChain) else problem
                continue
            told.append(standing)
            if not self._is_behind(standing, self._highest()):
                break
        if not told:
            assert problem is not None, "there is at least one node, and it told nothing"
            raise problem
        return told

    def _ranked(self) -> list[NodeHealth]:
        """In which order to ask: the one in use, then by preference; those that are left alone last, for when no other answers."""
        now = monotonic()
        return sorted(self.standings, key=lambda one: (one.not_before > now, one is not self.current))

    def _look_around(self) -> None:
        """Ask nodes that are not in use for their heads, now and then: preferred ones, and all when our own stands still."""
        now, current = monotonic(), self.current
        is_stale = current.head is not None and now - current.moved_at > self.patience.stale_seconds
        for standing in self.standings:
            if standing is current:
                if not is_stale:
                    break
                continue
            if standing.not_before > now or now - standing.told_at < self.patience.probe_seconds:
                continue
            self._probe(standing)
            has_recovered = now - standing.well_since >= self.patience.return_seconds
            if has_recovered and self._is_preferred(standing):
                self._use(standing)
                return

    def _is_preferred(self, standing: NodeHealth) -> bool:
        return self.standings.index(standing) < self.standings.index(self.current)

    def _probe(self, standing: NodeHealth) -> None:
        try:
            self._verify(standing)
            standing.tells(self._head_of(standing.node, _PROBE_TIMEOUT_SECONDS))
        except (ChainUnavailable, WrongChain) as exc:
            self._note_failure(standing, exc)
            return
        is_level = not self._is_behind(standing, self._highest())
        standing.well_since = min(standing.well_since, monotonic()) if is_level else inf

    def _highest(self) -> NodeHealth | None:
        """The node with the highest head of those that told theirs lately: what one told long ago, the chain may have lost."""
        now = monotonic()
        lately = [
            one
            for one in self.standings
            if one.head is not None and now - one.told_at < 2 * self.patience.stale_seconds
        ]
        return max(lately, key=lambda one: one.head.ref.number if one.head else -1, default=None)

    def _is_behind(self, standing: NodeHealth, other: NodeHealth | None) -> bool:
        if standing.head is None or other is None or other.head is None:
            return False
        is_lower = standing.head.ref.number + _ALLOWED_BLOCKS < other.head.ref.number
        return is_lower and self._has(other, standing.head)

    def _has(self, other: NodeHealth, head: Header) -> bool:
        """Whether this node's chain has that head: a higher one that does not stand on it is another chain's, or made up."""
        if self._shared == (other.node, head.ref.hash):
            return True
        try:
            asked = [hex(head.ref.number), False]
            found = other.node.rpc("eth_getBlockByNumber", asked, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
            has_it = self.reader.read(found, str(head.ref.number)).ref.hash == head.ref.hash
        except ChainError:
            return False
        if has_it:
            self._shared = other.node, head.ref.hash
        return has_it

    def _use(self, standing: NodeHealth) -> None:
        if standing is not self.current:
            _log.warning("chain.node_changed", former=self.current.node.name, node=standing.node.name)
            self.current.well_since = inf
            self.current = standing

    def _note_failure(self, standing: NodeHealth, why: ChainError) -> None:
        if not self._is_alone and (isinstance(why, WrongChain) or standing.failures == 0):
            _log.warning("chain.node_left_alone", node=standing.node.name, reason=why.reason, error=str(why))
        standing.fails(why, self.patience)

    def _verify(self, standing: NodeHealth) -> None:
        """Raise WrongChain unless the node serves the chain that is expected. The first one that does says what the others must have."""
        if standing.is_verified:
            return
        found = self._identity(standing.node, self.expected.market)
        names = ("chain_id", "genesis", "market_code")
        for name in names:
            expected, actual = getattr(self.expected, name), getattr(found, name)
            if expected is not None and actual != expected:
                raise WrongChain(f"{_SPOKEN[name]} {expected}", f"{_SPOKEN[name]} {actual} at {standing.node.name}")
        if found.market is not None and found.market_code is None:
            raise WrongChain(f"a contract at {found.market}", f"no code there at {standing.node.name}")
        self.expected, standing.is_verified = found, True

    def _head_of(self, node: Node, timeout_seconds: float | None = None) -> Header:
        found = node.rpc("eth_getBlockByNumber", ["latest", False], timeout_seconds=timeout_seconds)
        return self.reader.read(found, "latest")

    def _identity(self, node: Node, market: Address | None) -> Identity:
        """What the node serves. Raises ChainUnavailable where it does not say."""
        calls: list[tuple[str, Sequence[Any]]] = [("eth_chainId", []), ("eth_getBlockByNumber", ["0x0", False])]
        if market is not None:
            calls.append(("eth_getCode", [market, "latest"]))
        chain_id, genesis, *code = _results(node, calls)
        is_there = bool(code) and code[0] != "0x"
        return Identity(
            chain_id=int(chain_id, 16),
            genesis=self.reader.read(genesis, "0").ref.hash,
            market=market,
            market_code=hashlib.sha256(code[0].lower().encode()).hexdigest() if is_there else None,
        )


_SPOKEN: Final = {"chain_id": "chain", "genesis": "genesis block", "market_code": "market code"}


def _results(node: Node, calls: Calls) -> list[Any]:
    outcomes = node.batch(calls, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
    for outcome in outcomes:
        if isinstance(outcome, ChainError):
            raise outcome if isinstance(outcome, ChainUnavailable) else ChainUnavailable(str(outcome)) from outcome
    return outcomes
