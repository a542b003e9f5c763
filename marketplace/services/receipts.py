"""The receipt desk: each side leaves its signed receipt for the other. A receipt is in the journal before it is acknowledged.

What a receipt must say is read from the chain's own word of the lease, never from who posts it: a receipt of another serving,
lease, market or chain is refused here for the reason for which the contract would refuse it.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from marketplace.api.receipts import ReceiptsAnswer, ReceiptTold
from marketplace.api.record import BlockTold
from marketplace.chain.blocks import Chain
from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.market import MarketContract
from marketplace.chain.signing import receipt_id, recover
from marketplace.domain.errors import Forbidden, HashMismatch, InvalidField, Refused, StoreUnavailable
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, sha256_in, sha256_of
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.limits import MAX_RESULT_BYTES
from marketplace.domain.orders import Order
from marketplace.domain.receipts import Receipt
from marketplace.domain.refusals import Refusal
from marketplace.domain.results import EndedReason, Result, read_result
from marketplace.domain.units import UnixTime
from marketplace.services.blob_access import BlobAccess
from marketplace.services.servings import ServedLease, Servings
from marketplace.store.board import Board
from marketplace.store.journal.operator import OperatorJournal
from marketplace.store.journal.rows import JournalReceipt, Role

MOST_PROGRESS_RECEIPTS = 500
"""Of one side of one serving."""
MOST_LAST_RECEIPTS = 16
"""Of one side of one serving: one is enough, and blocks that left the chain may ask for another."""


@dataclass(frozen=True, slots=True)
class PostedReceipt:
    """What one side hands in. ``result`` is the canonical result document, where it brings one."""

    receipt: Receipt
    role: Role
    signature: str
    result: bytes | None


class ReceiptDesk:
    """Takes and shows receipts."""

    def __init__(
        self, chain: Chain, market: MarketContract, journal: OperatorJournal, library: BlobAccess, servings: Servings, board: Board
    ) -> None:  # fmt: skip
        self._chain, self._market, self._journal, self._board = chain, market, journal, board
        self._library, self._servings = library, servings
        self._log = structlog.get_logger()

    def post(self, sender: Address, lease: Bytes32, posted: PostedReceipt) -> tuple[ReceiptTold, bool]:
        """Keep one side's receipt; whether it is new.

        Raises NotFound, Forbidden, InvalidField, HashMismatch, Refused (NotLive, SecondsOutOfBounds, Bad…Signature).
        """
        serving = self._servings.now(lease)
        _check_sender(sender, posted.role, serving)
        _check_serving(posted.receipt, lease, serving, is_late=self._is_late_result(posted, serving))
        self._check_signature(posted, serving)
        kept = self._twin(posted)
        if kept is not None:
            return _row(kept), False
        self._check_number(posted)
        at = serving.block.timestamp
        ended = self._keep_result(sender, posted, at)
        is_new = self._journal.add_receipt(posted.receipt, posted.role, posted.signature, at, ended)
        self._tell(lease)
        self._log.info("receipt.posted", lease=lease, role=posted.role, used_seconds=posted.receipt.used_seconds)
        return ReceiptTold.of(posted.role, posted.receipt, posted.signature, at), is_new

    def _tell(self, lease: Bytes32) -> None:
        """Have what is remembered of the order's events forgotten. Without Redis nothing is remembered either."""
        try:
            self._board.note_said(lease)
        except StoreUnavailable:
            self._log.warning("receipt.untold", lease=lease)

    def receipts(self, lease: Bytes32) -> ReceiptsAnswer:
        """Both sides' receipts of the serving that the chain knows now, or knew last; oldest first."""
        block = self._chain.head()
        word = self._market.lease_of(lease, at=block)
        if word.status is LeaseStatus.NONE:
            return ReceiptsAnswer([], BlockTold.of(block))
        rows = self._journal.receipts(lease, word.opened_at)
        return ReceiptsAnswer([_row(row) for row in rows], BlockTold.of(block))

    def _is_late_result(self, posted: PostedReceipt, serving: ServedLease) -> bool:
        """Whether it names what is left of a job whose lease was ended first, as a client does that cancels it.

        The contract settles no such receipt. A provider names one result of a serving, so that none takes another's place.
        """
        is_last = posted.role == "provider" and posted.receipt.last
        rows = self._journal.receipts(posted.receipt.lease, posted.receipt.opened_at)
        said = [row.receipt for row in rows if row.role == "provider" and row.receipt.last]
        return is_last and serving.lease.status is LeaseStatus.CLOSED and said in ([], [posted.receipt])

    def _check_signature(self, posted: PostedReceipt, serving: ServedLease) -> None:
        """As the contract does (P-25): by a key of that side, else by asking those of that side who are contracts. Raises ChainUnavailable."""
        digest, order = receipt_id(posted.receipt, self._market.domain), serving.order
        signer = recover(digest, posted.signature)
        is_provider = posted.role == "provider"
        side = (serving.provider,) if is_provider else (order.client, order.acceptor)
        if signer is not None and signer in side and signer != ZERO_ADDRESS:
            return
        if not any(self._is_approved(who, digest, posted, serving) for who in side if who != ZERO_ADDRESS):
            raise Refused(Refusal.BadProviderSignature if is_provider else Refusal.BadClientSignature, "signature")

    def _is_approved(self, who: Address, digest: Bytes32, posted: PostedReceipt, serving: ServedLease) -> bool:
        return is_approved_by(self._chain, who, digest, posted.signature, serving.block)

    def _twin(self, posted: PostedReceipt) -> JournalReceipt | None:
        """The same receipt of the same side, if it is here. Raises InvalidField where it said something else about the same seconds.

        A signature of the same receipt may differ; the first one is as good.
        """
        for row in self._journal.receipts(posted.receipt.lease, posted.receipt.opened_at):
            if row.role != posted.role or _subject(row.receipt) != _subject(posted.receipt):
                continue
            if row.receipt != posted.receipt:
                rule = "differs from the receipt that this side has signed for the same seconds of this serving"
                raise InvalidField("receipt.result", rule)
            return row
        return None

    def _check_number(self, posted: PostedReceipt) -> None:
        """Raise InvalidField for one receipt too many: each is a row for good, and may bring a document. The newest says all that the others said."""
        rows = self._journal.receipts(posted.receipt.lease, posted.receipt.opened_at)
        number = sum((row.role, row.receipt.last) == (posted.role, posted.receipt.last) for row in rows)
        if not posted.receipt.last and number >= MOST_PROGRESS_RECEIPTS:
            raise InvalidField("receipt.last", f"must be true: {number} progress receipts of this side are here")
        if posted.receipt.last and number >= MOST_LAST_RECEIPTS:
            raise InvalidField(
                "receipt.usedSeconds", f"is said too often: {number} last receipts of this side are here"
            )

    def _keep_result(self, sender: Address, posted: PostedReceipt, at: UnixTime) -> EndedReason | None:
        """Store the result document under the hash that the receipt carries, and say why it says that the job ended.

        A provider's last receipt must bring it, or have brought it.
        """
        expected = sha256_in(posted.receipt.result)
        if posted.result is None:
            is_missing = self._library.of((sender,)).size(expected) is None
            if posted.role == "provider" and posted.receipt.last and is_missing:
                raise InvalidField("resultDocument", "is missing: a provider's last receipt brings its result")
            return None
        if len(posted.result) > MAX_RESULT_BYTES:
            raise InvalidField("resultDocument", f"must be at most {MAX_RESULT_BYTES} bytes")
        result = _result_in(posted.result)
        actual = sha256_of(posted.result)
        if actual != expected:
            raise HashMismatch("resultDocument", expected, actual)
        self._library.keep(expected, posted.result, sender, at)
        self._library.use({expected, *result.blobs()}, posted.receipt.lease)
        return result.reason


def _result_in(content: bytes) -> Result:
    """The document; raise InvalidField, with the field named as the request spells it."""
    try:
        return read_result(content)
    except InvalidField as error:
        raise InvalidField("resultDocument" + error.field.removeprefix("result"), error.rule) from None


def _check_sender(sender: Address, role: Role, serving: ServedLease) -> None:
    if role == "provider" and sender != serving.provider:
        raise Forbidden("only the lease's provider may post the provider's receipt")
    if role == "client" and not serving.order.is_client_side(sender):
        raise Forbidden("only the order's client or acceptor may post the client's receipt")


def _check_serving(receipt: Receipt, lease: Bytes32, serving: ServedLease, *, is_late: bool) -> None:
    """The receipt is of this serving, and may be settled now or later; or ``is_late``, and only names what is left.

    Whether ``elapsed`` covers usedSeconds is left to the contract: our node may be a block behind the provider's.
    """
    word = serving.lease
    if not word.status.is_live and not is_late:
        raise Refused(Refusal.NotLive, "receipt.lease")
    for field, said, known in (
        ("receipt.lease", receipt.lease, lease),
        ("receipt.offer", receipt.offer, word.offer),
        ("receipt.openedAt", receipt.opened_at, word.opened_at),
    ):
        if said != known:
            raise InvalidField(field, f"must be {known}: that is the serving that the chain knows")
    _check_seconds(receipt, word, serving.order)


def _check_seconds(receipt: Receipt, word: Lease, order: Order) -> None:
    used = receipt.used_seconds
    if not word.paid_seconds <= used <= order.max_seconds or (not receipt.last and used == word.paid_seconds):
        detail = f"{word.paid_seconds} are paid, {order.max_seconds} is the most"
        raise Refused(Refusal.SecondsOutOfBounds, "receipt.usedSeconds", detail)


def _subject(receipt: Receipt) -> tuple[object, ...]:
    """What a side signs one receipt about; it cannot take that back by signing another."""
    return receipt.used_seconds, receipt.last


def _row(row: JournalReceipt) -> ReceiptTold:
    return ReceiptTold.of(row.role, row.receipt, row.signature, row.at)
