"""What the routes call: the services over one market's chain and stores."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from marketplace.chain.blocks import Chain
from marketplace.chain.market import MarketContract
from marketplace.domain.ids import Address
from marketplace.domain.units import TokenUnits
from marketplace.services.access import LeaseAccess
from marketplace.services.accounts import AccountDesk
from marketplace.services.blob_access import BlobAccess
from marketplace.services.checks import Clock
from marketplace.services.declines import DeclineDesk
from marketplace.services.gpu_use import GpuUseDesk
from marketplace.services.host_keys import HostKeyDesk
from marketplace.services.idempotency import GivenAnswers
from marketplace.services.input_checks import InputCheck
from marketplace.services.job_keys import KeyDesk
from marketplace.services.job_use import JobUseDesk
from marketplace.services.leases import LeaseDesk
from marketplace.services.measurements import MeasurementDesk
from marketplace.services.offers import OfferDesk
from marketplace.services.order_batches import OrderBatches
from marketplace.services.orders import OrderDesk
from marketplace.services.participants import Participants
from marketplace.services.past import PastDesk
from marketplace.services.quotas import LEAST_STAKE, quotas_over
from marketplace.services.quotes import QuoteDesk
from marketplace.services.rate_limits import RateLimits
from marketplace.services.readiness import ReadinessCheck
from marketplace.services.receipts import ReceiptDesk
from marketplace.services.rounds import RoundDesk
from marketplace.services.servings import Servings
from marketplace.services.sessions import SessionDesk
from marketplace.services.timelines import TimelineDesk
from marketplace.services.uploads import PARTICIPANT_LIMIT_BYTES, UploadDesk
from marketplace.services.vaults import CompanyDesk, VaultDesk
from marketplace.services.warm_images import WarmImageDesk
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal


@dataclass(frozen=True, slots=True)
class MarketRoles:
    """Addresses that the market itself does not know."""

    catalogue: Address
    opener: Address
    """The scheduler's: it is the one that would open an order."""
    arbiter: Address
    """The one that this operator suggests to providers and clients."""
    relay: str = ""
    """Where clients and providers meet who sit at a job by ssh (`bourse relay`); empty: nowhere."""
    vaults: tuple[Address, ...] = ()
    """Those that this operator shows."""


@dataclass(frozen=True, slots=True)
class Desks:
    """One gateway's services. All are safe to share between threads."""

    chain: Chain
    market: MarketContract
    board: Board
    roles: MarketRoles
    orders: OrderDesk
    batches: OrderBatches
    offers: OfferDesk
    quotes: QuoteDesk
    leases: LeaseDesk
    receipts: ReceiptDesk
    declines: DeclineDesk
    host_keys: HostKeyDesk
    measurements: MeasurementDesk
    gpu_use: GpuUseDesk
    job_use: JobUseDesk
    warm_images: WarmImageDesk
    job_keys: KeyDesk
    rounds: RoundDesk
    accounts: AccountDesk
    vaults: VaultDesk
    companies: CompanyDesk
    past: PastDesk
    timelines: TimelineDesk
    uploads: UploadDesk
    access: LeaseAccess
    limits: RateLimits
    sessions: SessionDesk
    answers: GivenAnswers
    readiness: ReadinessCheck


def desks_over(
    market: MarketContract,
    journal: OperatorJournal,
    board: Board,
    blobs: FolderBlobs,
    roles: MarketRoles,
    *,
    clock: Clock,
    participant_limit_bytes: int = PARTICIPANT_LIMIT_BYTES,
    site: str = "http://localhost",
    limits: RateLimits | None = None,
    least_stake: TokenUnits = LEAST_STAKE,
) -> Desks:
    """The services over these stores. ``clock`` (wall-clock seconds) tells how old the chain's head is, and fills buckets of requests.

    ``site`` is the URL under which people know this gateway, without a path: who signs in, signs it. ``least_stake``: who has
    less in the market counts as a stranger where files are sent.
    """
    chain = market.chain
    participants = Participants(market, board)
    servings = Servings(chain, market, journal, board)
    offers, library = OfferDesk(chain, market, board), BlobAccess(blobs, journal.uploads)
    inputs = InputCheck(blobs)
    accounts = AccountDesk(chain, market, board, offers, participants)
    quotas = quotas_over(market, journal.uploads, board, least_stake)
    leases = LeaseDesk(market, journal, library, board, servings)
    access = LeaseAccess(market, journal, library, servings, leases)
    return Desks(
        chain=chain,
        market=market,
        board=board,
        roles=roles,
        orders=OrderDesk(chain, market, journal, library, inputs, board, roles.opener),
        batches=OrderBatches(market, journal, blobs, inputs, board, roles.opener),
        offers=offers,
        quotes=QuoteDesk(offers, library.public, market.terms()),
        leases=leases,
        receipts=ReceiptDesk(chain, market, journal, library, servings, board),
        declines=DeclineDesk(market, board, servings),
        host_keys=HostKeyDesk(market, board, servings),
        measurements=MeasurementDesk(market, board, offers),
        gpu_use=GpuUseDesk(access, servings, board),
        job_use=JobUseDesk(market, access, servings, board),
        warm_images=WarmImageDesk(board, offers),
        job_keys=KeyDesk(access, board),
        rounds=RoundDesk(journal),
        accounts=accounts,
        vaults=VaultDesk(market, roles.vaults),
        companies=CompanyDesk(market, offers),
        past=PastDesk(market, board),
        timelines=TimelineDesk(journal, board),
        uploads=UploadDesk(blobs, journal.uploads, quotas, participant_limit_bytes=participant_limit_bytes),
        limits=limits or RateLimits(board, clock),
        access=access,
        sessions=SessionDesk(chain, market, journal.sessions, site),
        answers=GivenAnswers(journal),
        readiness=ReadinessCheck(chain, journal, board, blobs, clock),
    )


async def desks_of(request: Request) -> Desks:
    """The services of the application that serves this request. Asynchronous, so that it costs no thread."""
    desks: Desks = request.app.state.desks
    return desks
