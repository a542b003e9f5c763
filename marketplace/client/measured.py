"""Which offers' GPUs were measured: the providers' signed words, each held against the offer that it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.offers import OfferTold
from marketplace.chain.signing import SigningDomain
from marketplace.chain.statements import measurer_of
from marketplace.domain.errors import GatewayProblem
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.market import MarketTerms
from marketplace.domain.measurements import Measurement


def measured(
    api: GatewayApi,
    offers: Sequence[OfferTold],
    terms: MarketTerms,
    speaker_of: Callable[[Address], Address] = lambda provider: provider,
) -> dict[OfferId, Measurement]:
    """What the offers' own providers say that they saw; an offer that is not in it is declared. A gateway can leave some out, and make up none.

    ``speaker_of`` asks the chain whose key speaks for a company (``Companies.speaker_of``); without it companies' offers are declared.
    """
    domain = SigningDomain(terms.chain_id, terms.market)
    try:
        said = api.gpus.measurements([offer.id for offer in offers])
    except GatewayProblem:
        return {}  # an older gateway knows of none: what it shows stays declared
    return {
        told.id: signed.measurement
        for told in offers
        if (signed := said.get(told.id))
        and signed.measurement.is_of(told.offer)
        and measurer_of(signed.measurement, signed.signature, domain) == speaker_of(told.provider)
    }
