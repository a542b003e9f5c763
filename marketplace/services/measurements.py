"""What providers' agents saw of their GPUs: their signed words, kept on the board for who looks at offers."""

from __future__ import annotations

from collections.abc import Iterable

from marketplace.chain.market import MarketContract
from marketplace.chain.statements import measurer_of
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, OfferId
from marketplace.domain.measurements import SignedMeasurement
from marketplace.services.offers import OfferDesk
from marketplace.store.board import Board


class MeasurementDesk:
    """Takes and shows measurements. Redis may forget them: then the offers are declared until their agent looks again."""

    def __init__(self, market: MarketContract, board: Board, offers: OfferDesk) -> None:
        self._market, self._board, self._offers = market, board, offers

    def post(self, sender: Address, signed: SignedMeasurement) -> None:
        """Keep the sender's newest word about an offer of its own. Raises Forbidden, StoreUnavailable."""
        signer = measurer_of(signed.measurement, signed.signature, self._market.domain)
        if signer != self._market.companies.speaker_of(sender):
            raise Forbidden("a measurement is signed by whoever sends it")
        if not any(
            offer.provider == sender and signed.measurement.is_of(offer) for offer in self._offers.offered().offers
        ):
            raise Forbidden("no offer of the sender has this number, this machine, and so many GPUs")
        self._board.keep_measurement(signed)

    def of(self, wanted: Iterable[OfferId]) -> dict[OfferId, SignedMeasurement]:
        """What is known of these offers; the others are declared, or are none."""
        asked = frozenset(wanted)
        offers = [offer for offer in self._offers.offered().offers if offer.id in asked]
        found = self._board.measurements_of([offer.id for offer in offers])
        return {offer.id: one for offer, one in zip(offers, found, strict=True) if one and one.measurement.is_of(offer)}
