"""A lease as the gateway shows it: where it stands, its log, and what came of the job."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace.api.leases import LeaseAnswer, LeasePage, LeaseTold, OutputsAnswer
from marketplace.api.record import BlockTold
from marketplace.chain.market import MarketContract
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Forbidden, InvalidField, NotFound, StoreUnavailable
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_in
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord
from marketplace.domain.limits import MAX_LOG_BYTES, MAX_RESULT_BYTES
from marketplace.domain.pricing import deadline_of
from marketplace.domain.results import Result, read_result
from marketplace.domain.units import UnixTime
from marketplace.services.blob_access import BlobAccess, Holdings
from marketplace.services.servings import Servings
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal


class LeaseDesk:
    """Shows leases. The projection knows how a lease ended; while it is rebuilt, the chain's own word has to do."""

    def __init__(
        self, market: MarketContract, journal: OperatorJournal, library: BlobAccess, board: Board, servings: Servings
    ) -> None:
        self._market, self._journal, self._library = market, journal, library
        self._board, self._servings = board, servings

    def lease(self, identifier: Bytes32) -> LeaseAnswer:
        """The lease. Raises NotFound before the order was ever opened."""
        return self._projected(identifier) or self._from_chain(identifier)

    def page(self, named: Mapping[str, str], status: LeaseStatus | None, after: str | None, limit: int) -> LeasePage:
        """Leases by ``offer``, ``provider``, ``client``, ``payee``, or everybody's, all as of one block. Raises StoreUnavailable."""
        found = self._board.past.leases(named, status, after, limit)
        told = [LeaseTold.row(record, self._deadline(record), self._market.terms()) for record in found.items]
        return LeasePage(told, BlockTold.of(found.block), found.onward)

    def outputs(self, identifier: Bytes32) -> OutputsAnswer:
        """The result document that the provider signed last, or claimed, and which of its blobs are here. Raises NotFound.

        Only what this very provider brought counts: a receipt over the hash of another one's result shows nothing of it.
        """
        name, theirs = self._result_name(identifier), self._brought_by_provider(identifier)
        if name is None or theirs.size(name) is None:
            raise NotFound("result of lease", identifier)
        result = read_result(theirs.read(name, MAX_RESULT_BYTES))
        present = {blob: theirs.size(blob) is not None for blob in result.blobs()}
        return OutputsAnswer.of(identifier, name, result, present)

    def append_log(self, sender: Address, identifier: Bytes32, offset: int, chunk: bytes) -> int:
        """Append to the lease's log, for its provider; the log's length, which is not ``offset + len(chunk)`` where it ends elsewhere.

        Raises NotFound, Forbidden, and InvalidField where it would grow beyond its limit.
        """
        serving = self._servings.now(identifier)
        if sender != serving.provider:
            raise Forbidden("only the lease's provider may write its log")
        is_beyond = offset + len(chunk) > MAX_LOG_BYTES
        length = self._board.append_log(identifier, serving.lease.opened_at, offset, b"" if is_beyond else chunk)
        if is_beyond and length == offset:
            raise InvalidField("offset", f"the live log holds {MAX_LOG_BYTES} bytes; put the whole into a blob")
        return length

    def log_so_far(self, identifier: Bytes32, offset: int) -> bytes:
        """What there is of the log from ``offset`` on. Raises NotFound before the order was ever opened."""
        content = self.read_log(identifier, offset, 0)
        if not content:
            self._servings.now(identifier)
        return content

    def read_log(self, identifier: Bytes32, offset: int, wait_ms: int) -> bytes:
        """What the log has from ``offset`` on, waiting a while where that is nothing; the kept log where Redis forgot the live one."""
        live = self._board.read_log(identifier, offset, wait_ms)
        return live or self._kept_log(identifier, offset)

    def log_length(self, identifier: Bytes32) -> int:
        """How many bytes of log there are: of the live one, or of the kept one where Redis forgot that."""
        live = self._board.log_length(identifier)
        result = None if live else self._result_or_none(identifier)
        return result.log.bytes if result else live

    def is_log_complete(self, identifier: Bytes32) -> bool:
        """Whether nothing will be appended any more: the serving is over, or its provider has signed the last receipt."""
        try:
            serving = self._servings.now(identifier)
        except NotFound:
            return True
        return not serving.lease.status.is_live or self._last_receipt(identifier, serving.lease.opened_at) is not None

    def _projected(self, identifier: Bytes32) -> LeaseAnswer | None:
        """From the projection; None where it has no such lease, is being rebuilt, or Redis is gone."""
        try:
            block = self._board.cursor()
            record = self._board.lease(identifier)
            beats = self._board.heartbeats()
        except StoreUnavailable:
            return None
        if block is None or record is None or record.exit == "OrderCancelled":
            return None
        return self._told(record, block, beats.get(record.provider))

    def _from_chain(self, identifier: Bytes32) -> LeaseAnswer:
        serving = self._servings.now(identifier)
        record = LeaseRecord(identifier, serving.order, serving.lease, serving.provider, serving.provider, 0)
        return self._told(record, serving.block, None)

    def _told(self, record: LeaseRecord, block: BlockRef, last_heartbeat: UnixTime | None) -> LeaseAnswer:
        return LeaseAnswer.of(record, block, self._deadline(record), last_heartbeat, self._market.terms())

    def _deadline(self, record: LeaseRecord) -> UnixTime | None:
        if record.order is None or not record.lease.status.is_live:
            return None
        return deadline_of(record.order, record.lease, self._market.terms())

    def _result_name(self, identifier: Bytes32) -> Sha256 | None:
        serving = self._servings.now(identifier)
        receipt = self._last_receipt(identifier, serving.lease.opened_at)
        if receipt is not None:
            return receipt
        claimed = self.lease(identifier).result
        return sha256_in(claimed) if claimed else None

    def _last_receipt(self, identifier: Bytes32, opened_at: UnixTime) -> Sha256 | None:
        """The result in the provider's newest last receipt of this serving."""
        rows = self._journal.receipts(identifier, opened_at)
        return next(
            (sha256_in(row.receipt.result) for row in reversed(rows) if row.role == "provider" and row.receipt.last),
            None,
        )

    def _kept_log(self, identifier: Bytes32, offset: int) -> bytes:
        result = self._result_or_none(identifier)
        if result is None or self._brought_by_provider(identifier).size(result.log.sha256) is None:
            return b""
        with self._library.open(result.log.sha256) as stream:
            stream.seek(offset)
            return stream.read(MAX_LOG_BYTES)

    def _brought_by_provider(self, identifier: Bytes32) -> Holdings:
        return self._library.of((self._servings.now(identifier).provider,))

    def _result_or_none(self, identifier: Bytes32) -> Result | None:
        try:
            return self.outputs(identifier).result
        except NotFound:
            return None
