"""The keys of machines on which jobs run, as their providers signed them: kept for who sits at one."""

from __future__ import annotations

import structlog

from marketplace.chain.market import MarketContract
from marketplace.chain.statements import host_key_signer
from marketplace.domain.errors import Forbidden, NotFound
from marketplace.domain.ids import Bytes32
from marketplace.domain.ssh import SignedHostKey
from marketplace.services.servings import Servings
from marketplace.store.board import Board

_log = structlog.get_logger()


class HostKeyDesk:
    """Takes and shows host keys. Redis may forget them: an agent leaves its own again and again."""

    def __init__(self, market: MarketContract, board: Board, servings: Servings) -> None:
        self._market, self._board, self._servings = market, board, servings

    def keep(self, lease: Bytes32, signed: SignedHostKey) -> None:
        """The newest one stays. Raises NotFound, Forbidden, StoreUnavailable."""
        if signed.host_key.lease != lease:
            raise Forbidden("a host key is left below the lease that it is about")
        signer = host_key_signer(signed.host_key, signed.signature, self._market.domain)
        if signer is None or signer != self._market.companies.speaker_of(self._servings.now(lease).provider):
            raise Forbidden("only the provider that serves the lease says by what key its machine is known")
        self._board.keep_host_key(signed)
        _log.info("host_key.posted", lease=lease, provider=signer)

    def host_key(self, lease: Bytes32) -> SignedHostKey:
        """What was left last. Raises NotFound."""
        found = self._board.host_key(lease)
        if found is None:
            raise NotFound("host key", lease)
        return found
