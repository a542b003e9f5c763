"""Which providers have which container images unpacked: their word, kept on the board for a while."""

from __future__ import annotations

from marketplace.api.warm_images import WarmImageAnswer, WarmImagesSent
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, Sha256
from marketplace.services.offers import OfferDesk
from marketplace.store.board import Board


class WarmImageDesk:
    """Takes and shows them. Redis may forget them: then images are cold until their agents say so again."""

    def __init__(self, board: Board, offers: OfferDesk) -> None:
        self._board, self._offers = board, offers

    def post(self, sender: Address, sent: WarmImagesSent) -> None:
        """Keep the sender's newest word. Raises Forbidden for who offers nothing, StoreUnavailable."""
        if sender not in self._providers():
            raise Forbidden("only who has an offer on the market says which images it has")
        self._board.keep_warm_images(sender, sent.images)

    def of(self, image: Sha256) -> WarmImageAnswer:
        """The providers that have it. Raises StoreUnavailable."""
        has = self._board.warm_images_of(sorted(self._providers()))
        return WarmImageAnswer(image, sorted(said for said, images in has.items() if image in images))

    def _providers(self) -> set[Address]:
        """Those with a live offer."""
        view = self._offers.offered()
        return {offer.provider for offer in view.offers if offer.is_alive(view.block.timestamp)}
