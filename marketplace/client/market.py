"""The SDK's front door: one account on one market, through one gateway and its own view of the chain."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic

from marketplace.chain import verbs
from marketplace.chain.address_book import AddressBook
from marketplace.chain.checksums import address_from_text
from marketplace.chain.constants import LOCAL_CHAINS
from marketplace.chain.fees import FeePolicy
from marketplace.chain.market import Market as ChainMarket
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.signing import Key
from marketplace.chain.token import TokenContract, coin_of, make_local_coin
from marketplace.chain.transactions import Mined, Sender
from marketplace.client.answers import MarketDescription, OfferAnswer, Quote
from marketplace.client.api import GatewayApi
from marketplace.client.changes import JobChange, of_all, until_over
from marketplace.client.countersign import ResultFolder
from marketplace.client.ending import Ender
from marketplace.client.groups import JobGroup
from marketplace.client.job import Job
from marketplace.client.journal import JobJournal
from marketplace.client.kept import KeptOrder
from marketplace.client.leases import LeaseVerbs
from marketplace.client.leftovers import Leftovers
from marketplace.client.mandate import Mandate
from marketplace.client.opening import check_told, folder_of, lines_to, market_in, outbox_path
from marketplace.client.posting import Poster
from marketplace.client.reputation import reputation_from_chain
from marketplace.client.request import JobRequest
from marketplace.client.second_leases import SecondLeases
from marketplace.client.signs import SignsOfLife
from marketplace.client.standing import locked_now, provisional
from marketplace.client.story import Balance
from marketplace.client.submitting import Draft, Submitter
from marketplace.client.trust import Roles, TrustRoots
from marketplace.client.watcher import Watcher
from marketplace.domain.errors import (
    ChainError,
    ConfigError,
    InsufficientBalance,
    InvalidField,
    NodeRefused,
)
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.models import BlockRef, Budget, MarketTerms
from marketplace.domain.repairs import Repairs
from marketplace.domain.reputation import Reputation
from marketplace.domain.sending import Outgoing
from marketplace.domain.units import PricePerGpuHour, TokenUnits, UnixTime, units_from_text

BUDGET_BITS, TIME_BITS = 128, 40
_STEP_SECONDS = 1.0
_CHAIN_PATIENCE_SECONDS = 60.0


class Market:
    """Everything that a client does on a market.

    market = Market.connect("http://127.0.0.1:8000", ["http://127.0.0.1:8545"], key, home=Path.home() / ".bourse")
    market.deposit(market.amount("20"))
    job = market.submit(JobRequest(command=("python", "train.py"), …))
    job.wait(); job.download(Path("out"))
    """

    def __init__(
        self,
        key: Key,
        chain_market: ChainMarket,
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
        roots: TrustRoots | None = None,
        gateways: Sequence[GatewayApi] = (),
    ) -> None:
        """``gateways``: all that this client may use, each by itself, the preferred one first (default: the one of ``watching``)."""
        self.mandate = Mandate(key, account or key.address, chain_market)
        self.account: Address = self.mandate.account
        """Whose orders and money these are; the key may be another's (``mandate``)."""
        self.api, self.book = api, book
        self.chain = chain_market.chain
        self.stop = stop or threading.Event()
        """Set it, and every wait ends soon."""
        self.results = ResultFolder(results, api)
        self._leftovers = Leftovers(chain_market, api, book, self.results)
        self._market = chain_market
        self._watching = watching or api
        self._outbox = outbox or OutboxFile()
        self._sender = Sender(self.chain, key, self._outbox, confirmations=confirmations, fees=fees)
        self.leases = LeaseVerbs(chain_market, api, book, self._sender)
        self._ender = Ender(chain_market, api, book, self._sender)
        self._gateways = tuple(gateways) or (self._watching,)
        others = self._gateways[1:]
        signs = SignsOfLife(chain_market, self._gateways, book.witnesses)
        self._watcher = Watcher(
            key, chain_market, self._watching, book, self.results, signs=signs,
            poster=Poster(self._watching, others, book), confirmations=confirmations,
        )  # fmt: skip
        self._second_leases = SecondLeases(chain_market, self._watching, book, self._ender, signs, book.past.cursor)
        self.roots = roots or TrustRoots()
        """Whom orders name as opener and arbiter, unless the request says otherwise."""
        self._submitter = Submitter(
            key, self.mandate, chain_market, api, book, Poster(api, others, book), self._ender, self.roots,
            lambda: self.description,
        )  # fmt: skip
        self._providers: dict[int, Address] = {}
        self._description: MarketDescription | None = None

    @classmethod
    def connect(
        cls,
        gateway_url: str,
        rpc_urls: Sequence[str],
        key: Key,
        home: Path,
        *,
        address_book: AddressBook,
        other_gateways: Sequence[str] = (),
        roots: TrustRoots | None = None,
        confirmations: int = 1,
        fees: FeePolicy | None = None,
        stop: threading.Event | None = None,
        account: str | None = None,
    ) -> Market:
        """Open the market that the address book names.

        The chain is believed, not the gateway: WrongChain is raised where what it says of the market differs from what
        the chain says, GatewayDiffers where it works with another opener or arbiter than ``roots`` (default: the address book's) name.
        The gateway is not needed for what the chain alone can do: withdraw, cancel. ``other_gateways`` are asked where it is away, and
        whether a provider is silent.
        ``account`` is in whose name the key acts (default: its own): a contract's that takes its signature (EIP-1271), or as its delegate.
        """
        market = market_in(address_book, rpc_urls)
        mandate = Mandate(key, address_from_text(account, field="account") if account else key.address, market)
        lines = lines_to((gateway_url, *other_gateways), key, mandate, market)
        folder = folder_of(home, market, mandate)
        return cls(
            key, market, lines.api, JobJournal(folder / "jobs.sqlite"), folder / "results", watching=lines.watching,
            gateways=lines.each, outbox=OutboxFile(outbox_path(home, market.chain, key.address)), fees=fees,
            confirmations=confirmations, stop=stop,
            account=mandate.account, roots=roots or TrustRoots(address_book.opener, address_book.arbiter),
        )  # fmt: skip

    def close(self) -> None:
        """Close connections and files. Jobs go on by themselves; open the market again to countersign them."""
        self._watcher.close()
        for speaking in (self.api, self._watching, *self._gateways):
            speaking.close()
        self._watcher.wait_closed()
        for opened in (self.book, self._outbox, self.chain):
            opened.close()

    @property
    def terms(self) -> MarketTerms:
        """The market's immutables, from the chain."""
        return self._market.terms()

    @property
    def description(self) -> MarketDescription:
        """What the gateway says of the market, held once against the chain and our own choice. Raise WrongChain, GatewayDiffers."""
        if self._description is None:
            told = self.api.market()
            check_told(told.terms, self.terms)
            self.roots.check(Roles(told.opener, told.arbiter))
            self._description = told
        return self._description

    # -- money --------------------------------------------------------------------------------------------------------

    def amount(self, text: str, *, field: str = "amount") -> TokenUnits:
        """``"20.50"`` in the token's base units."""
        return units_from_text(text, self.terms.token_decimals, field=field)

    def price(self, text: str, *, field: str = "max_price") -> PricePerGpuHour:
        """``"0.40"`` per GPU-hour in the token's base units."""
        return PricePerGpuHour(self.amount(text, field=field))

    def balance(self) -> Balance:
        """What this account has, all at one block."""
        block = self.chain.head()
        locked = locked_now(self._market, self.book, block)
        wallet = self._token.balance_of(self.account, block)
        coin_wei = coin_of(self.chain, self.mandate.signer, block)
        return Balance(self._market.balance_of(self.account, block), locked, wallet, coin_wei)

    def pending(self) -> Sequence[Outgoing]:
        """This account's transactions that were sent from here and whose end nobody was told."""
        return self._sender.pending()

    def acknowledge(self) -> None:
        """Say that whoever wanted them knows of the pending transactions that are mined: their like is done anew from now on."""
        self._sender.acknowledge()

    def tend(self) -> None:
        """Look after what was sent: send again what a node forgot, or a reorganisation took back. Raise ChainUnavailable."""
        self._sender.tend(self.chain.head())

    def deposit(self, amount: TokenUnits, *, again: bool = False) -> Mined:
        """Move tokens from the key's wallet to the account's free balance, after approving exactly as many where that is needed.

        An allowance that is left over is taken back first where the token wants it so (USDT). The same deposit, sent before and
        not heard of since, is waited for (``Mined.is_earlier``) and not made a second time, unless ``again``.
        """
        call = verbs.deposit(self._market.address, self.account, amount)
        name = f"deposit {amount} to {self.account} in {self._market.address}"
        if again or self._sender.earlier(call, name) is None:
            payer = self.mandate.signer
            wallet = self._token.balance_of(payer)
            if wallet < amount:
                raise InsufficientBalance(payer, amount, wallet)
            for approval in self._token.approvals(payer, self._market.address, amount):
                self._sender.send(approval)
        return self._sender.send(call, name=name, again=again)

    def withdraw(self, amount: TokenUnits, to: str | None = None, *, again: bool = False) -> Mined:
        """Move tokens from the free balance into the wallet, or to another address: the token may have blocked this account.

        The same withdrawal, sent before and not heard of since, is waited for, as in ``deposit``.
        Raise InvalidField (``to``) for an address from which nobody could move them on.
        """
        self.mandate.require_own("withdraw its money")
        receiver = self.mandate.receiver(to)
        call = verbs.withdraw(self._market.address, receiver, amount)
        name = f"withdraw {amount} to {receiver} from {self._market.address}"
        if again or self._sender.earlier(call, name) is None:
            self._submitter.require_free(amount)
        return self._sender.send(call, name=name, again=again)

    def authorize(self, delegate: Address, budget: TokenUnits, until: UnixTime, *, again: bool = False) -> Mined:
        """Let a delegate's key sign orders for this account: up to a hard budget, until a time. A budget of 0 takes it back.

        What an order may cost at most is charged once, at its first opening by a delegate, and never restored (I-7).
        """
        self.mandate.require_own("give a budget")
        signer = address_from_text(delegate, field="delegate")
        if budget >= 1 << BUDGET_BITS:
            raise InvalidField("budget", f"{budget} token units; the contract holds {BUDGET_BITS} bits")
        if until >= 1 << TIME_BITS:
            raise InvalidField("until", f"{until}; the contract holds {TIME_BITS} bits")
        call = verbs.authorize(self._market.address, signer, budget, until)
        # By what is granted: the same words, typed again a minute later, mean another time.
        return self._sender.send(call, name=f"authorize {self._market.address} {signer} {budget}", again=again)

    def budget_of(self, delegate: Address) -> Budget:
        """What the delegate may still spend of this account's money."""
        return self._market.budget_of(self.account, address_from_text(delegate, field="delegate"))

    def mint_test_dollars(self, amount: TokenUnits, *, again: bool = False) -> Mined:
        """Make test dollars in the key's wallet, and coin for gas where it has hardly any; local chains only."""
        if self.chain.chain_id not in LOCAL_CHAINS:
            raise ConfigError([f"chain {self.chain.chain_id} is not a local one: its dollars cannot be made here"])
        make_local_coin(self.chain, self.mandate.signer)
        return self._sender.send(verbs.mint(self._token.address, self.mandate.signer, amount), again=again)

    @property
    def _token(self) -> TokenContract:
        return TokenContract(self.chain, self.terms.token)

    # -- the market ---------------------------------------------------------------------------------------------------

    def offers(self) -> tuple[OfferAnswer, ...]:
        """The offers on the market."""
        return self.api.offers()

    def quote(self, request: JobRequest) -> tuple[Quote, ...]:
        """What the request would cost on each offer of its classes, and why the others cannot serve it."""
        return tuple(
            quote
            for gpu in request.gpus_of
            for quote in self.api.quotes(
                gpu,
                gpus=request.gpus,
                max_seconds=request.max_time,
                max_price=request.max_price,
                prefer_regions=request.prefer_regions,
                min_reliability_bps=request.min_reliability_bps,
            )
        )

    def reputation_of(self, provider: Address, at: BlockRef | None = None) -> Reputation:
        """What the provider's leases came to, computed here from all events of the market up to ``at`` or the newest block.

        ``api.provider`` is quicker, and has to be believed.
        """
        who = address_from_text(provider, field="provider")
        return reputation_from_chain(self._market, who, at or self.chain.head())

    @property
    def repairs(self) -> Repairs:
        """What reading the chain had to put right since this market was opened."""
        return self._watcher.past.repairs

    def provisional(self, order: KeptOrder, head: BlockRef) -> str:
        """What the newest block says of the order that is not confirmed yet; empty where that is nothing else."""
        return provisional(self._market, self.book, order, head)

    def collect(self, order: KeptOrder) -> bool:
        """Fetch what a provider left of a job that was over before its result was there; whether there is any."""
        return self._leftovers.collect(order, self.provider_of, self.chain.head())

    def provider_of(self, offer: int) -> Address | None:
        """Who listed the offer; it never changes."""
        if offer not in self._providers:
            found = self._market.offer_of(OfferId(offer))
            if found is None:
                return None
            self._providers[offer] = found.provider
        return self._providers[offer]

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def draft(self, request: JobRequest, nodes: int | None = None) -> Draft:
        """What would be signed: opener, arbiter, limits, and the most that it can cost. All that can be refused before is; nothing is signed or sent."""
        return self._submitter.draft(request, nodes)

    def sign(self, draft: Draft) -> Job | JobGroup:
        """Upload the inputs, sign, write down, put on the book. Raise what the gateway refuses it for."""
        kept = self._submitter.submit(draft)
        group = kept[0].group
        return JobGroup(self, group.id) if group else Job(self, kept[0].job.id)

    def submit(self, request: JobRequest) -> Job:
        """Draft and sign. What no gateway has taken is posted again while waiting: see ``Job.is_posted`` and ``Job.note``."""
        job = self.sign(self.draft(request))
        assert isinstance(job, Job)
        return job

    def submit_group(self, request: JobRequest, size: int) -> JobGroup:
        """The same on ``size`` machines of one provider, or on none: a job for each node. None is ordered again by itself.

        Raise InsufficientBalance, with nothing sent, where the money is not there for all of them together.
        """
        group = self.sign(self.draft(request, size))
        assert isinstance(group, JobGroup)
        return group

    def job(self, text: str) -> Job:
        """The job by its number, its id or the beginning of it; raise NotFound."""
        return Job(self, self.book.job_named(text).job.id)

    def jobs(self) -> tuple[Job, ...]:
        """All jobs of this account's book, oldest first."""
        return tuple(Job(self, kept.job.id) for kept in self.book.jobs())

    def steps(self, timeout: float | None = None) -> Iterator[BlockRef]:
        """Move all jobs along, now and with every new block; ends after ``timeout`` seconds, or when ``stop`` is set.

        A chain that does not answer, or a node that refuses to, is waited for a minute before that is raised.
        """
        deadline = None if timeout is None else monotonic() + timeout
        silent_since: float | None = None
        while not self.stop.is_set():
            try:
                block = self._watcher.step()
                self._ender.hold_groups_together(block)
                self._second_leases.tend(block)
                self._sender.tend(block)
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

    def wait_all(
        self, jobs: Iterable[Job], timeout: float | None = None, *, settled: bool = False
    ) -> Iterator[JobChange]:
        """Move the jobs along until all are over (and, if ``settled``, their money is), yielding each change of state."""
        return until_over(list(jobs), self.steps(timeout), timeout, settled=settled)

    def watch(self, timeout: float | None = None, *, until_settled: bool = False) -> Iterator[JobChange]:
        """Move all jobs along, those of other processes too, yielding each change; ends as ``steps`` does.

        With ``until_settled`` it ends when all are over and paid for, and raises DeadlinePassed when that takes longer.
        """
        return of_all(self.jobs, self.steps(timeout), timeout, until_settled=until_settled)

    def cancel(self, order: KeptOrder) -> None:
        """End the order on the chain, for good. Raise InvalidTransition when its provider has claimed."""
        self.book.choices.forget(order.signed.id)
        self._ender.end(order)
