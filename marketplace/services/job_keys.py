"""Keys of sealed jobs on their way from a client to the provider that serves it: sealed to that provider, and to us a riddle."""

from __future__ import annotations

import structlog

from marketplace.domain.errors import Forbidden, NotFound
from marketplace.domain.ids import Address, Bytes32
from marketplace.services.access import LeaseAccess
from marketplace.store.board import Board

_log = structlog.get_logger()


class KeyDesk:
    """Takes a key from the client's side of a lease, and shows it to the parties. Redis may forget it: a provider reads it once."""

    def __init__(self, access: LeaseAccess, board: Board) -> None:
        self._access, self._board = access, board

    def require_giver(self, sender: Address, lease: Bytes32) -> None:
        """Raise Forbidden for whoever is not on the client's side."""
        if not self._access.is_on_client_side(sender, lease):
            raise Forbidden("only the client's side of an order hands over its job's key")

    def keep(self, lease: Bytes32, sealed: str) -> None:
        """The newest one stays: each opening of the order may have another provider. Raises StoreUnavailable."""
        self._board.keep_job_key(lease, sealed)
        _log.info("job_key.posted", lease=lease)

    def key(self, account: Address | None, lease: Bytes32) -> str:
        """The sealed key. Raises Unauthorized, NotFound."""
        self._access.require_party(account, lease)
        found = self._board.job_key(lease)
        if found is None:
            raise NotFound("key", lease)
        return found
