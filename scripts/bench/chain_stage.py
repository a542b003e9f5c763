"""A real chain with a market on it, and leases by the hundred: what the parts of `make bench PART=chain` measure on."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.blocks import Chain
from marketplace.chain.constants import LOCAL_CONSTANTS
from marketplace.chain.deployment import deploy
from marketplace.chain.devnet import ANVIL_KEYS, increase_time, start_anvil
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined, Sender
from marketplace.devnet import free_ports
from marketplace.domain.events import OfferListed
from marketplace.domain.fills import Fill
from marketplace.domain.ids import ZERO_ADDRESS, Bytes32, ClassNumber, OfferId
from marketplace.domain.offers import Offer
from marketplace.domain.orders import Order, SignedOrder
from marketplace.domain.receipts import Receipt, Settlement
from marketplace.domain.units import Bps, GpuCount, PricePerGpuHour, Seconds, TokenUnits, UnixTime

FAR = UnixTime(2**32 - 1)
SPEC, RESULT = Bytes32("0x" + "5e" * 32), Bytes32("0x" + "4e" * 32)
FUNDS = TokenUnits(10**13)
PRICE = PricePerGpuHour(2_000_000)
SERVED = Seconds(30)
DEPLOYER, CLIENT, PROVIDER, OPENER, ARBITER = (ANVIL_KEYS[number] for number in (0, 1, 2, 3, 9))


@dataclass
class Stage:
    """One market on an anvil of our own, which mines each transaction at once."""

    chain: Chain
    book: AddressBook
    folder: Path
    senders: dict[str, Sender] = field(default_factory=dict)
    salts: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def market(self) -> MarketContract:
        return MarketContract(self.chain, self.book.market, deployed_at_block=self.book.deployed_at_block)

    def send(self, key: Key, call: verbs.Call) -> Mined:
        return self.senders.setdefault(key.address, Sender(self.chain, key)).send(call)

    def fund(self, key: Key) -> None:
        """Mint, approve and deposit."""
        for call in (
            verbs.mint(self.book.token, key.address, FUNDS), verbs.approve(self.book.token, self.book.market, FUNDS),
            verbs.deposit(self.book.market, key.address, FUNDS),
        ):  # fmt: skip
            self.send(key, call)

    def listed(self, gpus: int) -> Offer:
        """An offer of so many GPUs."""
        (event,) = self.send(
            PROVIDER,
            verbs.list_offer(
                self.book.market, gpu_class=ClassNumber(1), gpus=GpuCount(gpus), bond_bps=Bps(1_000), price=PRICE,
                min_seconds=Seconds(0), expires_at=FAR, arbiter=ARBITER.address, spec=SPEC,
            ),
        ).events  # fmt: skip
        assert isinstance(event, OfferListed), "listing says so"
        return event.offer

    def signed(self, count: int) -> list[SignedOrder]:
        """So many orders of one GPU."""
        domain = self.market.domain
        return [CLIENT.sign_order(order_of(CLIENT, next(self.salts)), domain) for _ in range(count)]

    def serve(self, orders: Sequence[SignedOrder], offer: Offer) -> None:
        """Open leases of all these orders in one transaction, and settle them in another."""
        fills = [Fill(signed, offer.id, offer.price) for signed in orders]
        block = self.send(OPENER, verbs.open_fills(self.book.market, fills)).block
        increase_time(self.chain, 2 * SERVED)
        settlements = [self._receipted(signed, offer, block.timestamp) for signed in orders]
        self.send(OPENER, verbs.settle(self.book.market, settlements))

    def _receipted(self, signed: SignedOrder, offer: Offer, opened_at: UnixTime) -> Settlement:
        receipt, domain = Receipt(signed.id, offer.id, opened_at, SERVED, RESULT, last=True), self.market.domain
        by_client, by_provider = (key.sign_receipt(receipt, domain) for key in (CLIENT, PROVIDER))
        return Settlement(signed.order, SERVED, RESULT, True, by_client, by_provider)


def order_of(client: Key, salt: int) -> Order:
    """An order that takes any offer of the first class."""
    return Order(
        client=client.address, classes=1 << 1, offer=OfferId(0), gpus=GpuCount(1), max_seconds=Seconds(600),
        min_seconds=Seconds(0), max_price=PRICE, min_bond_bps=Bps(0), starts_at=UnixTime(0), expires_at=FAR,
        tip=TokenUnits(0), opener=ZERO_ADDRESS, acceptor=ZERO_ADDRESS, arbiter=ARBITER.address, spec=SPEC, salt=salt,
    )  # fmt: skip


@contextmanager
def running_stage() -> Iterator[Stage]:
    """An anvil in a folder of its own, with the contracts deployed and client and provider funded; ended afterwards."""
    with tempfile.TemporaryDirectory(prefix="bourse-bench-") as name:
        folder = Path(name)
        anvil = start_anvil(free_ports(1)[0], folder, block_time=None)
        chain = Chain([anvil.rpc_url])
        try:
            stage = Stage(chain, deploy(chain, DEPLOYER, LOCAL_CONSTANTS), folder)
            for key in (CLIENT, PROVIDER):
                stage.fund(key)
            yield stage
        finally:
            chain.close()
            anvil.stop()
