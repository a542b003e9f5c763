"""Who may come in at a relay: the provider that serves the lease, and its client's side, each by a signed request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marketplace.chain.market import MarketContract
from marketplace.chain.request_signing import verify_request
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, Bytes32, sha256_of
from marketplace.domain.relaying import caller_path, line_path
from marketplace.services.access import LeaseAccess
from marketplace.services.blob_access import BlobAccess
from marketplace.services.leases import LeaseDesk
from marketplace.services.servings import Servings
from marketplace.store.blobs import FolderBlobs
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal

_NO_BODY = sha256_of(b"")


@dataclass(frozen=True, slots=True)
class RelayDoors:
    """Asks the chain and the operator's own records, as a gateway does. Its methods block."""

    market: MarketContract
    access: LeaseAccess
    servings: Servings

    def require_provider(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        """Raise Unauthorized, NotFound, Forbidden for all but the lease's provider."""
        sender = self._sender(headers, line_path(lease))
        if sender != self.servings.now(lease).provider:
            raise Forbidden("only the provider that serves the lease keeps a line for it")

    def require_client(self, headers: Mapping[str, str], lease: Bytes32) -> None:
        """Raise Unauthorized, Forbidden for all but the client's side."""
        sender = self._sender(headers, caller_path(lease))
        if not self.access.is_on_client_side(sender, lease):
            raise Forbidden("only the client's side of a lease sits at its machine")

    def _sender(self, headers: Mapping[str, str], path: str) -> Address:
        head = self.market.chain.paced_head()

        def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
            return self.market.companies.approves(account, digest, signature, head)

        return verify_request(
            headers, "GET", path, _NO_BODY, head.timestamp, self.market.domain, is_approved=is_approved
        )


def doors_over(market: MarketContract, journal: OperatorJournal, board: Board, blobs: FolderBlobs) -> RelayDoors:
    """The doors of a relay over the stores that its operator's gateways have."""
    servings, library = Servings(market.chain, market, journal, board), BlobAccess(blobs, journal.uploads)
    leases = LeaseDesk(market, journal, library, board, servings)
    return RelayDoors(market, LeaseAccess(market, journal, library, servings, leases), servings)
