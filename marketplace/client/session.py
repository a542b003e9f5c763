"""What all that a client does stands on: one account's key, its view of the chain, its gateways and its journal; and what moves its jobs along."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.fees import FeePolicy
from marketplace.chain.market import MarketContract
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.client.cancellation import Ender
from marketplace.client.handed_back import HandedBack
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.client.leftovers import Leftovers
from marketplace.client.liveness import SignsOfLife
from marketplace.client.mandate import Mandate
from marketplace.client.posting import Poster
from marketplace.client.receipt_checks import ResultFolder
from marketplace.client.second_leases import SecondLeases
from marketplace.client.secret_values import SecretKeeper
from marketplace.client.unconfirmed import provisional
from marketplace.client.watcher import Watcher
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, NodeRefused
from marketplace.domain.errors import InsufficientBalance
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.repairs import Repairs
from marketplace.domain.units import TokenUnits

_STEP_SECONDS = 1.0
_CHAIN_PATIENCE_SECONDS = 60.0


class ClientSession:
    """One account on one market. Jobs, groups, wallet and market are handles on it."""

    def __init__(
        self,
        key: Key,
        market: MarketContract,
        api: GatewayApi,
        book: JobJournal,
        results: Path,
        *,
        watching: GatewayApi | None = None,
        outbox: OutboxFile | None = None,
        fees: FeePolicy | None = None,
        confirmations: int = 1,
        stop: threading.Event | None = None,
        account: Address | None = None,
        gateways: Sequence[GatewayApi] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
        packages: Path | None = None,
    ) -> None:
        """``gateways``: all that this client may use, each by itself, the preferred one first (default: the one of ``watching``).

        ``variables``: where the values of secrets are looked for that another process has ordered a job with.
        ``packages``: where folders of packages are made that jobs bring along (default: beside ``results``).
        """
        self.key, self.market, self.chain = key, market, market.chain
        self.mandate = Mandate(key, account or key.address, market)
        self.account: Address = self.mandate.account
        """Whose orders and money these are; the key may be another's (``mandate``)."""
        self.api, self.book = api, book
        self.stop = stop or threading.Event()
        """Set it, and every wait ends soon."""
        self.results = ResultFolder(results, api)
        self.packages = packages or results.with_name("packages")
        self._outbox = outbox or OutboxFile()
        self.sender = Sender(self.chain, key, self._outbox, confirmations=confirmations, fees=fees)
        self.ender = Ender(market, api, book, self.sender)
        self._leftovers = Leftovers(market, api, book, self.results)
        self._watching = watching or api
        self._gateways = tuple(gateways) or (self._watching,)
        self.secrets = SecretKeeper(book, variables)
        """Of jobs, for the providers that serve them."""
        signs = SignsOfLife(market, self._gateways, book.witnesses)
        self._watcher = Watcher(
            key, market, self._watching, book, self.results, signs=signs,
            poster=self.poster(self._watching), secrets=self.secrets, confirmations=confirmations,
        )  # fmt: skip
        self._second_leases = SecondLeases(market, self._watching, book, self.ender, signs, book.past.cursor)
        self._handed_back = HandedBack(market, self._watching, book, self.sender)
        self._providers: dict[int, Address] = {}

    def poster(self, first: GatewayApi) -> Poster:
        """Who posts orders by this line, and then by those to the other gateways."""
        return Poster(first, self._gateways[1:], self.book)

    def close(self) -> None:
        """Close connections and files. Jobs go on by themselves; open the session again to countersign them."""
        self._watcher.close()
        for speaking in (self.api, self._watching, *self._gateways):
            speaking.close()
        self._watcher.wait_closed()
        for opened in (self.book, self._outbox, self.chain):
            opened.close()

    def steps(self, timeout: float | None = None) -> Iterator[BlockRef]:
        """Move all jobs along, now and with every new block; ends after ``timeout`` seconds, or when ``stop`` is set.

        A chain that does not answer, or a node that refuses to, is waited for a minute before that is raised.
        """
        deadline = None if timeout is None else monotonic() + timeout
        silent_since: float | None = None
        while not self.stop.is_set():
            try:
                block = self._watcher.step()
                self.ender.hold_groups_together(block)
                self._second_leases.tend(block)
                self._handed_back.tend(block)
                self.sender.tend(block)
                silent_since = None
                yield block
                if deadline is not None and monotonic() >= deadline:
                    return
                self.chain.next_head(block, _STEP_SECONDS, self.stop)
            except ChainError as exc:
                if not (exc.retryable or isinstance(exc, NodeRefused)):
                    raise
                silent_since = silent_since if silent_since is not None else monotonic()
                if monotonic() - silent_since > _CHAIN_PATIENCE_SECONDS or (deadline and monotonic() >= deadline):
                    raise
                self.stop.wait(_STEP_SECONDS)

    def cancel(self, order: KeptOrder) -> bool:
        """End the order on the chain, for good; False where it was over. Raise InvalidTransition when its provider has claimed."""
        self.book.choices.forget(order.signed.id)
        return self.ender.end(order)

    def collect(self, order: KeptOrder) -> bool:
        """Fetch what a provider left of a job that was over before its result was there; whether there is any."""
        return self._leftovers.collect(order, self.provider_of, self.chain.head())

    def provisional(self, order: KeptOrder, head: BlockRef) -> str:
        """What the newest block says of the order that is not confirmed yet; empty where that is nothing else."""
        return provisional(self.market, self.book, order, head)

    def provider_of(self, offer: int) -> Address | None:
        """Who listed the offer; it never changes."""
        if offer not in self._providers:
            found = self.market.offer_of(OfferId(offer))
            if found is None:
                return None
            self._providers[offer] = found.provider
        return self._providers[offer]

    def require_free(self, needed: TokenUnits) -> None:
        """Raise InsufficientBalance where the account has less free in the market."""
        free = self.market.balance_of(self.account)
        if free < needed:
            raise InsufficientBalance(self.account, needed, free)

    @property
    def repairs(self) -> Repairs:
        """What reading the chain had to put right since this session was opened."""
        return self._watcher.chain_sync.repairs
