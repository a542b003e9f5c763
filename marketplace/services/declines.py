"""Why leases were given back: the provider's signed word, kept for the client and the scheduler on the board."""

from __future__ import annotations

import structlog

from marketplace.chain.market import MarketContract
from marketplace.chain.statements import decliner_of
from marketplace.domain.declines import SignedDecline
from marketplace.domain.errors import Forbidden, NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.services.servings import Servings
from marketplace.store.board import Board

_log = structlog.get_logger()


class DeclineDesk:
    """Takes and shows declines. Redis may forget them: then the pair rests as if nobody had said why."""

    def __init__(self, market: MarketContract, board: Board, servings: Servings) -> None:
        self._market, self._board, self._servings = market, board, servings

    def post(self, lease: Bytes32, signed: SignedDecline) -> bool:
        """Keep it; whether it is new. Raises NotFound, Forbidden, StoreUnavailable."""
        decline = signed.decline
        if decline.lease != lease:
            raise Forbidden("a decline is left below the lease that it is about")
        signer = decliner_of(decline, signed.signature, self._market.domain)
        servers, speaker_of = self._servers(lease), self._market.companies.speaker_of
        said = (who for who, since in servers if since == decline.opened_at and speaker_of(who) == signer)
        provider = next(said, None)
        if provider is None:
            raise Forbidden("only the provider of this very serving may say why it gave it back")
        is_new = self._board.keep_decline(provider, signed)
        _log.info("decline.posted", lease=lease, provider=provider, reason=decline.reason)
        return is_new

    def declines(self, lease: Bytes32) -> list[SignedDecline]:
        """What providers have said about the openings of this order, oldest opening first."""
        return sorted(self._board.declines_of([lease])[lease], key=lambda one: one.decline.opened_at)

    def _servers(self, lease: Bytes32) -> set[tuple[Address, int]]:
        """Who serves it, or did last, since when: by the chain while it is live, by the projection when it is over."""
        found = set[tuple[Address, int]]()
        record = self._board.lease(lease)
        if record is not None:
            found.add((record.provider, record.lease.opened_at))
        try:
            serving = self._servings.now(lease)
        except NotFound:
            if not found:
                raise
        else:
            found.add((serving.provider, serving.lease.opened_at))
        return found
