"""The SDK's front door: one account on one market, through one gateway and its own view of the chain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from marketplace.api.market import MarketAnswer
from marketplace.api.offers import OfferTold
from marketplace.api.quotes import QuoteTold
from marketplace.chain.address_book import AddressBook
from marketplace.chain.checksums import address_from_text
from marketplace.chain.fees import FeePolicy
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Mined
from marketplace.client.asked_price import CheapestOffer, asked_price
from marketplace.client.calls import CallTerms
from marketplace.client.changes import JobChange, of_all, until_over
from marketplace.client.executor import JobExecutor
from marketplace.client.gpu_choices import gpus_chosen
from marketplace.client.group import JobGroup
from marketplace.client.images import resolved
from marketplace.client.job import Job
from marketplace.client.job_summary import Balance
from marketplace.client.leases import LeaseVerbs
from marketplace.client.opening import check_told, open_session
from marketplace.client.packages import Say
from marketplace.client.remote import RemoteFunction
from marketplace.client.reputation import reputation_from_chain
from marketplace.client.request import JobRequest
from marketplace.client.session import ClientSession
from marketplace.client.submitting import Draft, Submitter
from marketplace.client.transfers import OnUpload
from marketplace.client.trust import Roles, TrustRoots
from marketplace.client.wallet import Wallet
from marketplace.client.warm_images import WarmOffers, warm_offers
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Address
from marketplace.domain.images import HOST_IMAGE, read_image
from marketplace.domain.market import MarketTerms
from marketplace.domain.reputation import Reputation
from marketplace.domain.units import PricePerGpuHour, TokenUnits, seconds_from_text

P = ParamSpec("P")
T = TypeVar("T")


class Market:
    """Everything that a client does on a market.

    market = Market.connect("http://127.0.0.1:8000", ["http://127.0.0.1:8545"], key, home=Path.home() / ".bourse", address_book=book)
    market.deposit(market.amount("20"))
    job = market.submit(JobRequest(command=("python", "train.py"), …))
    job.wait(); job.download(Path("out"))
    """

    def __init__(self, session: ClientSession, roots: TrustRoots | None = None) -> None:
        self.session = session
        self.chain, self.api, self.book, self.stop = session.chain, session.api, session.book, session.stop
        self.mandate, self.account = session.mandate, session.account
        self.wallet = Wallet(session)
        self.leases = LeaseVerbs(session.market, session.api, session.book, session.sender)
        self.roots = roots or TrustRoots()
        """Whom orders name as opener and arbiter, unless the request says otherwise."""
        self._submitter = Submitter(session, self.roots, lambda: self.description)
        self._description: MarketAnswer | None = None
        self._calling = threading.Lock()
        self._calls: JobExecutor | None = None
        """Of all functions that ``remote`` made: one thread looks after their jobs."""

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
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Market:
        """Open the market that the address book names.

        The chain is believed, not the gateway: WrongChain is raised where what it says of the market differs from what
        the chain says, GatewayDiffers where it works with another opener or arbiter than ``roots`` (default: the address book's) name.
        The gateway is not needed for what the chain alone can do: withdraw, cancel. ``other_gateways`` are asked where it is away, and
        whether a provider is silent.
        ``account`` is in whose name the key acts (default: its own): a contract's that takes its signature (EIP-1271), or as its delegate.
        ``variables`` hold the values of secrets of jobs that another process has ordered (default: none).
        """
        acting_for = address_from_text(account, field="account") if account else None
        session = open_session(
            (gateway_url, *other_gateways), rpc_urls, key, home, address_book, confirmations=confirmations, fees=fees, stop=stop,
            account=acting_for, variables=variables,
        )  # fmt: skip
        return cls(session, roots or TrustRoots(address_book.opener, address_book.arbiter))

    def close(self) -> None:
        """Close connections and files. Jobs go on by themselves; open the market again to countersign them."""
        if self._calls is not None:
            self._calls.abandon()
        self.session.close()

    @property
    def terms(self) -> MarketTerms:
        """The market's immutables, from the chain."""
        return self.session.market.terms()

    @property
    def description(self) -> MarketAnswer:
        """What the gateway says of the market, held once against the chain and our own choice. Raise WrongChain, GatewayDiffers."""
        if self._description is None:
            told = self.api.market()
            check_told(told.terms, self.terms)
            self.roots.check(Roles(told.opener, told.arbiter))
            self._description = told
        return self._description

    # -- money: all else is the wallet's ---------------------------------------------------------------------------

    def amount(self, text: str, *, field: str = "amount") -> TokenUnits:
        """``"20.50"`` in the token's base units."""
        return self.wallet.amount(text, field=field)

    def price(self, text: str, *, field: str = "max_price") -> PricePerGpuHour:
        """``"0.40"`` per GPU-hour in the token's base units."""
        return self.wallet.price(text, field=field)

    def balance(self) -> Balance:
        """What this account has, all at one block."""
        return self.wallet.balance()

    def deposit(self, amount: TokenUnits, *, again: bool = False) -> Mined:
        """Move tokens from the key's wallet to the account's free balance; see ``Wallet.deposit``."""
        return self.wallet.deposit(amount, again=again)

    def withdraw(self, amount: TokenUnits, to: str | None = None, *, again: bool = False) -> Mined:
        """Move tokens from the free balance into the wallet, or to another address; see ``Wallet.withdraw``."""
        return self.wallet.withdraw(amount, to, again=again)

    # -- the market ---------------------------------------------------------------------------------------------------

    def offers(self) -> tuple[OfferTold, ...]:
        """The offers on the market."""
        return self.api.offers()

    def quote(self, request: JobRequest) -> tuple[QuoteTold, ...]:
        """What the request would cost on each offer of its classes, and why the others cannot serve it."""
        return self._quotes(request, request.max_price)

    def asked_price(self, request: JobRequest) -> CheapestOffer:
        """What the cheapest offer asks that can serve the request now, whatever limit it has. Raise InvalidField where there is none."""
        return asked_price(request, self._quotes(request, None), self.session.market)

    def warm_offers(self, request: JobRequest) -> WarmOffers | None:
        """Which of the offers that can serve the request now have its image; None where it names none, or the gateway does not tell.

        A hint, by which no order goes: it never raises for a gateway.
        """
        image = read_image(request.image)
        if image is None:
            return None
        try:
            return warm_offers(request, self.quote(request), self.api.warm_at(image.digest))
        except GatewayError:
            return None

    def _quotes(self, request: JobRequest, limit: PricePerGpuHour | None) -> tuple[QuoteTold, ...]:
        return self.api.quotes(
            request.gpus_of, gpus=request.gpus, max_seconds=request.max_time, max_price=limit,
            prefer_regions=request.prefer_regions, min_reliability_bps=request.min_reliability_bps,
        )  # fmt: skip

    def reputation_of(self, provider: Address, at: BlockRef | None = None) -> Reputation:
        """What the provider's leases came to, computed here from all events of the market up to ``at`` or the newest block.

        ``api.provider`` is quicker, and has to be believed.
        """
        who = address_from_text(provider, field="provider")
        return reputation_from_chain(self.session.market, who, at or self.chain.head())

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def draft(self, request: JobRequest, nodes: int | None = None, say: Say = lambda _: None) -> Draft:
        """What would be signed: opener, arbiter, limits, and the most that it can cost. All that can be refused before is; nothing is signed or sent.

        ``say`` is told what takes a while, and what to know before signing.
        """
        return self._submitter.draft(request, nodes, say)

    def sign(self, draft: Draft, on_upload: OnUpload = lambda upload: None) -> Job | JobGroup:
        """Upload the inputs, sign, write down, put on the book. Raise what the gateway refuses it for."""
        kept = self._submitter.submit(draft, on_upload)
        group = kept[0].group
        return JobGroup(self.session, group.id) if group else Job(self.session, kept[0].job.id)

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

    def remote(
        self, *, gpu: str | Sequence[str], max_price: str, max_time: str = "10m", image: str = HOST_IMAGE,
        python: Sequence[str] = ("python",), pip: str | Path | None = None, trust_provider: bool = False, **options: Any,
    ) -> Callable[[Callable[P, T]], RemoteFunction[P, T]]:  # fmt: skip
        """A decorator: each call of the function is a job on these terms; ``options`` are further fields of ``JobRequest``.

        @market.remote(gpu="RTX4090", max_price="0.40")
        def train(rate: float) -> float: …

        ``pip`` is a requirements file, with hashes, whose packages go along. What comes back is JSON or numpy arrays; with ``trust_provider`` anything, by pickle: then the provider can run what it likes here.
        """
        choice = gpus_chosen([gpu] if isinstance(gpu, str) else gpu, options.pop("vram_mib", 0))
        request = JobRequest(
            command=tuple(python), gpus_of=choice.classes, vram_mib=choice.vram_mib, image=resolved(image), pip=Path(pip) if pip is not None else None,
            max_price=self.price(max_price), max_time=seconds_from_text(max_time, field="max_time"), **options,
        )  # fmt: skip
        terms = CallTerms(request, trust_provider)
        return lambda function: RemoteFunction(function, terms, self._executor_of_calls)

    def _executor_of_calls(self) -> JobExecutor:
        with self._calling:
            if self._calls is None:
                self._calls = JobExecutor(self)
            return self._calls

    def job(self, text: str) -> Job:
        """The job by its number, its id or the beginning of it; raise NotFound."""
        return Job(self.session, self.session.book.job_named(text).job.id)

    def jobs(self) -> tuple[Job, ...]:
        """All jobs of this account's book, oldest first."""
        return tuple(Job(self.session, kept.job.id) for kept in self.session.book.jobs())

    def steps(self, timeout: float | None = None) -> Iterator[BlockRef]:
        """Move all jobs along, now and with every new block; see ``ClientSession.steps``."""
        return self.session.steps(timeout)

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
