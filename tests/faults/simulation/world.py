"""What is real around the parties: the chain, which mines when the seed says, the faulty node before it, Redis, one market."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic
from weakref import WeakSet

from redis import Redis

from marketplace.chain import blocks, heads, nodes, nonces, roster, verbs
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import AddressBook, MarketConstants, deploy
from marketplace.chain.devnet import ANVIL_KEYS, AnvilHandle, start_anvil
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.domain.blocks import BlockRef
from marketplace.domain.units import Seconds, TokenUnits
from marketplace.store.redis_server import RedisHandle, start_redis
from tests.faults.proxy import FaultProxy
from tests.faults.simulation.dice import Dice
from tests.faults.simulation.mortality import MortalChain
from tests.ports import free_port

DOLLAR = 1_000_000
DEPLOYER, OPENER, PROVIDERS, CLIENTS, ARBITER = (
    ANVIL_KEYS[0],
    ANVIL_KEYS[3],
    ANVIL_KEYS[4:6],
    ANVIL_KEYS[1:3],
    ANVIL_KEYS[9],
)
FUNDS = TokenUnits(100 * DOLLAR)
WALLET = TokenUnits(50 * DOLLAR)
"""Of each client's, left outside the market."""
CONSTANTS = MarketConstants(Seconds(20), Seconds(40), Seconds(30), Seconds(40), TokenUnits(100_000))
HISTORY_BLOCKS = 160
"""Blocks before the first choice, so that a deep reorganisation never undoes the market itself."""
USUAL_BASE_FEE = 10**9
CLOCKED = (blocks, heads, nodes, nonces, roster)
GENESIS, START = 1_900_000_000, 1_900_001_000
"""Block times, of no clock on any wall."""


@dataclass
class History:
    """What was chosen and what came of it, in order; and how often each kind of trouble was met."""

    lines: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def met(self, kind: str, line: str = "") -> None:
        self.kinds[kind] += 1
        self.say(f"* {kind} {line}")


class HonestChain(Chain):
    """The node itself, for the world's own doings."""

    def rpc_or_none(self, raw: str) -> None:
        """Hand in a transaction that may be refused."""
        try:
            self.rpc("eth_sendRawTransaction", raw)
        except Exception:  # noqa: BLE001  whatever the reason, it is not in the pool then
            return


@dataclass
class World:
    """One market and its surroundings. ``chain`` is the honest node; the parties never see it."""

    dice: Dice
    folder: Path
    anvil: AnvilHandle
    redis: RedisHandle
    node: FaultProxy
    chain: HonestChain
    book: AddressBook
    market: MarketContract
    history: History
    head: BlockRef
    blocks: int = 0
    clock: float = 0.0
    """Block time that never goes back."""
    ticks: int = 0
    chains: WeakSet[MortalChain] = field(default_factory=WeakSet)
    """Those of the processes that live."""
    has_two_nodes: bool = False
    """Every party has a second URL, whose line is called after it, with -b."""

    @property
    def now(self) -> int:
        """The newest block's time. Nobody but the world makes blocks, so it need not ask."""
        return self.head.timestamp

    # Time

    def block(self, seconds: int | None = None) -> BlockRef:
        """Mine a block, so many seconds after the one before it, or as many as the seed says."""
        self.blocks += 1
        if seconds is not None:
            self._next_in(seconds)
        self.chain.rpc("anvil_mine", "0x1")
        self.head = self.chain.head()
        self._next_in(self.dice.of("block", self.blocks).choice((1, 2, 2, 2, 3)))
        self.clock = max(self.clock + 1, self.now)
        for chain in self.chains:
            chain.look_again()
        return self.head

    def _next_in(self, seconds: int) -> None:
        # Known beforehand, so that nothing about the pending block depends on the clock on the wall.
        self.chain.rpc("evm_setNextBlockTimestamp", self.now + seconds)

    def spike(self, factor: int) -> None:
        """The base fee is so many times what it was, from the next block on."""
        base = int(self.chain.rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        self.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(max(base, USUAL_BASE_FEE // 4) * factor))

    def calm_fees(self) -> None:
        self.chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(USUAL_BASE_FEE))

    # Reorganisations

    def reorganise(self, depth: int, how: str, stream: Random) -> None:
        """Replace the newest ``depth`` blocks. ``how``: their transactions are ``gone``, ``kept``, ``some``, or ``pooled`` again."""
        before = self.head
        lost = self._transactions(before.number - depth + 1, before.number)
        kept = {"kept": lost, "some": _some(lost, stream)}.get(how, [])
        placed = [[raw, min(place, depth - 1)] for raw, place, _ in kept]
        self.chain.rpc("anvil_reorg", depth, placed)
        self.head = self.chain.head()
        if how == "pooled":
            for raw, _, _ in lost:
                self.chain.rpc_or_none(raw)
        if stream.random() < 0.7:
            self.chain.rpc("evm_setNextBlockTimestamp", max(before.timestamp, self.now) + 1)
        else:
            self._next_in(1)

    def _transactions(self, first: int, last: int) -> list[tuple[str, int, str]]:
        """Raw transactions of these blocks, with the place of their block and their sender, in order."""
        found = []
        for number in range(first, last + 1):
            block = self.chain.rpc("eth_getBlockByNumber", hex(number), True)
            found += [
                (self.chain.rpc("eth_getRawTransactionByHash", one["hash"]), number - first, one["from"])
                for one in block["transactions"]
            ]
        return found

    def tick(self) -> float:
        """What a monotonic clock says: the chain's seconds, and never the same twice."""
        self.ticks += 1
        return self.clock + self.ticks * 1e-6

    # Stores

    def flush_redis(self) -> None:
        with Redis.from_url(self.redis.url) as redis:
            redis.flushall()

    def close(self) -> None:
        self.node.close()
        self.chain.close()
        self.redis.stop()
        self.anvil.stop()


def _some(lost: Sequence[tuple[str, int, str]], stream: Random) -> list[tuple[str, int, str]]:
    """Without one and what its sender sent after it."""
    if not lost:
        return []
    at = stream.randrange(len(lost))
    return [one for place, one in enumerate(lost) if place < at or one[2] != lost[at][2]]


@contextmanager
def clocked_by(tick: Callable[[], float]) -> Iterator[None]:
    """What waits for blocks, or is patient with a node, counts the chain's seconds instead of the wall's."""
    for module in CLOCKED:
        setattr(module, "monotonic", tick)  # noqa: B010
    try:
        yield
    finally:
        for module in CLOCKED:
            setattr(module, "monotonic", monotonic)  # noqa: B010


@contextmanager
def opened_world(dice: Dice, folder: Path, history: History) -> Iterator[World]:
    """A market with funded traders, some blocks old."""
    anvil = start_anvil(
        free_port(), folder / "anvil", block_time=None, arguments=("--no-mining", "--timestamp", str(GENESIS))
    )
    redis = start_redis(folder / "redis")
    chain = HonestChain([anvil.rpc_url])
    chain.rpc("evm_setAutomine", True)
    chain.rpc("anvil_setBlockTimestampInterval", 1)
    book = deploy(chain, DEPLOYER, CONSTANTS)
    market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
    for key in (*CLIENTS, *PROVIDERS):
        _fund(chain, book, key)
    chain.rpc("evm_setAutomine", False)
    chain.rpc("anvil_mine", hex(HISTORY_BLOCKS))
    chain.rpc("anvil_removeBlockTimestampInterval")
    chain.rpc("anvil_setNextBlockBaseFeePerGas", hex(USUAL_BASE_FEE))
    world = World(
        dice,
        folder,
        anvil,
        redis,
        FaultProxy(anvil.rpc_url, seed=dice.seed),
        chain,
        book,
        market,
        history,
        chain.head(),
    )
    world.block(START - world.now)
    try:
        with clocked_by(world.tick):
            yield world
    finally:
        world.close()


def _fund(chain: Chain, book: AddressBook, key: Key) -> None:
    sender = Sender(chain, key)
    extra = WALLET if key in CLIENTS else 0
    for call in (
        verbs.mint(book.token, key.address, TokenUnits(FUNDS + extra)),
        verbs.approve(book.token, book.market, FUNDS),
        verbs.deposit(book.market, key.address, FUNDS),
    ):
        sender.send(call)
