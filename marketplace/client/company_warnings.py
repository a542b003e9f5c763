"""What it means to a client that its provider is a company (S-5): said before it signs, and watched while it is served.

Of a company whose income is pledged anybody claims the whole lease when its operator falls silent. A client that was not served then has to object in
time, where with a key for a provider it would simply be refunded.
"""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.checksums import checksum
from marketplace.chain.market import MarketContract
from marketplace.client.retries import Sight
from marketplace.domain import events as e
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import ZERO_BYTES32, Address
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import Order
from marketplace.domain.units import Seconds, iso_from_time, text_from_seconds


def warnings_before_signing(order: Order, market: MarketContract, api: GatewayApi, block: BlockRef) -> tuple[str, ...]:
    """What to say before this order is signed: of who may serve it, and of who rules. Raises ChainUnavailable, GatewayError."""
    said = (_of_companies(_companies_for(order, market, api, block), order, market), _of_arbiter(order, market))
    return tuple(one for one in said if one)


def _of_companies(found: tuple[Address, ...], order: Order, market: MarketContract) -> str | None:
    if not found:
        return None
    window = text_from_seconds(Seconds(market.terms().challenge_window))
    who = (
        f"the provider {checksum(found[0])} is a company"
        if order.offer
        else f"{len(found)} of the providers are companies"
    )
    return (
        f"{who}: if its operator falls silent, all of the lease may be claimed for it; whoever was not served terminates before,"
        f" or disputes within {window} of such a claim"
    )


def _of_arbiter(order: Order, market: MarketContract) -> str | None:
    """Whoever names it agrees that its panel's silence means "pay" (A-1)."""
    if market.backstop_arbiter is None or order.arbiter != market.backstop_arbiter:
        return None
    return "the arbiter's silence pays: whoever disputes and finds its panel silent pays all that is guaranteed, and its stake"


def objection_due(sight: Sight, market: MarketContract) -> str | None:
    """What to say of a lease of ours that was claimed without a result for a company; None where it was not. Raises ChainUnavailable."""
    lease, provider = sight.lease, sight.provider
    if market.companies.factory is None or lease.status is not LeaseStatus.CLAIMED or provider is None:
        return None
    claims = [move for move in sight.moves if isinstance(move, e.LeaseClaimed)]
    if not claims or claims[-1].result != ZERO_BYTES32 or not market.companies.is_company(provider, sight.block):
        return None
    until = iso_from_time(lease.changed_at + market.terms().challenge_window)
    return f"{lease.claimed_seconds} s were claimed for the company {provider} without a result: not served? bourse dispute before {until}"


def _companies_for(order: Order, market: MarketContract, api: GatewayApi, block: BlockRef) -> tuple[Address, ...]:
    """The provider of the offer that it is pinned to, else those of the gateway's offers that it accepts, as far as they are companies."""
    if market.companies.factory is None:
        return ()
    if order.offer:
        listed = market.listing_of(order.offer, block)
        providers = {listed.provider} if listed else set()
    else:
        providers = {told.provider for told in api.offers() if order.classes >> told.gpu_class & 1 and told.listed}
    return tuple(sorted(provider for provider in providers if market.companies.is_company(provider, block)))
