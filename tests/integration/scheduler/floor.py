"""A trading floor in small: a real chain, a real Redis, the indexer and the scheduler, stepped by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.deployment import LOCAL_CONSTANTS, deploy
from marketplace.chain.devnet import ANVIL_KEYS, increase_time, mine
from marketplace.chain.events import EventFollower
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined, Sender
from marketplace.domain.book import Explanation
from marketplace.domain.classes import load_classes
from marketplace.domain.events import BatchOpened, Event, OfferListed
from marketplace.domain.ids import ZERO_ADDRESS, Address, OfferId, bytes32_of, sha256_of
from marketplace.domain.leases import Lease
from marketplace.domain.market import MarketTerms
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.policy import Policy
from marketplace.domain.spec import JobSpec, Machine
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.projection import Projector
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from scheduler.service import SchedulerService
from tests.works import WORK

DOLLAR = 1_000_000
SPEC = JobSpec(WORK)
MACHINE = Machine("eu", "RTX4090", 24_576, 4, 32, 65_536, 1_000_000)
RTX4090 = 1
CLIENT, OPENER, ARBITER = ANVIL_KEYS[1], ANVIL_KEYS[2], ANVIL_KEYS[9]
PROVIDERS = ANVIL_KEYS[3:6]


@dataclass
class Floor:
    """One market with rich traders, and everything of the operator's that a scheduler meets."""

    chain: Chain
    market: MarketContract
    board: Board
    journal: OperatorJournal
    blobs: FolderBlobs
    book: AddressBook
    salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    senders: dict[str, Sender] = field(default_factory=dict)
    projector: Projector = field(init=False)

    @classmethod
    def opened(cls, chain: Chain, redis_url: str, folder: Path) -> Floor:
        book = deploy(chain, ANVIL_KEYS[0], LOCAL_CONSTANTS)
        market = MarketContract(chain, book.market, deployed_at_block=book.deployed_at_block)
        journal = OperatorJournal(f"sqlite:///{folder}/journal.sqlite")
        floor = cls(chain, market, Board(redis_url), journal, FolderBlobs(folder / "blobs"), book)
        floor.fund_all((CLIENT, *PROVIDERS), 100 * DOLLAR)
        floor.publish(MACHINE.canonical())
        floor.projector = floor.new_projector()
        return floor

    def new_projector(self, *, opener: Address | None = OPENER.address) -> Projector:
        follower = self._follower()
        return Projector(follower, self.journal, self.blobs, self.board, self.terms, opener=opener)

    @property
    def terms(self) -> MarketTerms:
        return self.market.terms()

    def scheduler(self, *, wait_seconds: int = 20, batch_fills: int = 100, **policy: Any) -> SchedulerService:
        """A scheduler that has just been started."""
        sender = Sender(self.chain, OPENER, self.journal.outbox)
        return SchedulerService(
            self.board, self.journal, self.market, sender, self.blobs, Policy(**policy), classes=load_classes(),
            batch_fills=batch_fills, wait_seconds=wait_seconds,
        )  # fmt: skip

    # What the others do

    def send(self, key: Key, call: verbs.Call) -> Mined:
        return self.senders.setdefault(key.address, Sender(self.chain, key)).send(call)

    def fund(self, key: Key, amount: int) -> None:
        units = TokenUnits(amount)
        self.send(key, verbs.mint(self.terms.token, key.address, units))
        self.send(key, verbs.approve(self.terms.token, self.market.address, units))
        self.send(key, verbs.deposit(self.market.address, key.address, units))

    def fund_all(self, keys: Sequence[Key], amount: int) -> None:
        """As ``fund`` for each of them, out of one pocket and in one batch."""
        donor, units = ANVIL_KEYS[0], TokenUnits(amount * len(keys))
        self.send(donor, verbs.mint(self.terms.token, donor.address, units))
        self.send(donor, verbs.approve(self.terms.token, self.market.address, units))
        deposits = [verbs.deposit(self.market.address, key.address, TokenUnits(amount)) for key in keys]
        self.senders[donor.address].send_all(deposits)

    def list(self, provider: Key = PROVIDERS[0], *, through: Address | None = None, **changes: Any) -> Offer:
        """Four GPUs at one dollar; ``through`` a company, whose operator the key is."""
        terms = {
            "gpu_class": RTX4090, "gpus": 4, "bond_bps": 1_000, "price": DOLLAR, "min_seconds": 0, "expires_at": UnixTime(2**40 - 1),
            "arbiter": ARBITER.address, "spec": bytes32_of(MACHINE.sha256),
        }  # fmt: skip
        (listed,) = self.send(provider, verbs.list_offer(through or self.market.address, **(terms | changes))).events
        assert isinstance(listed, OfferListed)
        return listed.offer

    def order(self, *, spec: JobSpec = SPEC, by: Key = CLIENT, **changes: Any) -> SignedOrder:
        """An accepted order of the client's for an hour of one GPU at up to two dollars."""
        order = Order(
            client=CLIENT.address, classes=1 << RTX4090, offer=OfferId(0), gpus=1, max_seconds=3_600, min_seconds=0,
            max_price=2 * DOLLAR, min_bond_bps=0, starts_at=UnixTime(0), expires_at=UnixTime(self.now + 3_600), tip=TokenUnits(0),
            opener=OPENER.address, acceptor=ZERO_ADDRESS, arbiter=ARBITER.address, spec=bytes32_of(spec.sha256),
            salt=next(self.salts),
        )  # fmt: skip
        signed = by.sign_order(replace(order, **changes), self.market.domain)
        self.publish(spec.canonical())
        self.journal.add_order(signed, spec.canonical(), self.now)
        return signed

    def publish(self, content: bytes) -> None:
        """Have a document where everybody may read it."""
        name = sha256_of(content)
        self.blobs.put(content, name, len(content))
        self.journal.uploads.note(name, CLIENT.address, len(content), self.now, is_public=True)

    # Time

    @property
    def now(self) -> UnixTime:
        return self.chain.head().timestamp

    def pass_time(self, seconds: int) -> None:
        increase_time(self.chain, seconds)

    def reach(self, moment: int) -> None:
        """Mine a block of exactly this time, whatever the wall clock says."""
        self.chain.rpc("evm_setNextBlockTimestamp", moment)
        self.mine()

    def index(self) -> None:
        """Let the indexer catch up with the chain and the journal, and every provider give a sign of life."""
        for provider in PROVIDERS:
            self.board.beat(provider.address, self.now)
        while self.projector.step().within_seconds == 0:
            pass
        cursor = self.board.cursor()
        assert cursor is not None
        assert cursor.hash == self.chain.head().hash

    def mine(self, blocks: int = 1) -> None:
        mine(self.chain, blocks)

    def set_block_gas_limit(self, gas: int) -> None:
        self.chain.rpc("evm_setBlockGasLimit", hex(gas))
        self.mine()

    # What can be seen

    def lease(self, order: SignedOrder) -> Lease:
        return self.market.lease_of(order.id)

    def explanation(self, order: SignedOrder) -> Explanation:
        found = self.board.explanation(order.id)
        assert found is not None
        return found

    def free(self, key: Key) -> TokenUnits:
        return self.market.balance_of(key.address)

    def events(self) -> tuple[Event, ...]:
        """Everything that the market ever said."""
        return tuple(self._follower().history(self.terms.deployed_at_block, self.chain.head().number))

    def _follower(self) -> EventFollower:
        factory = self.market.companies.factory
        return EventFollower(self.chain, self.market.address, confirmations=1, factory=factory)

    def batches(self) -> tuple[BatchOpened, ...]:
        return tuple(event for event in self.events() if isinstance(event, BatchOpened))
