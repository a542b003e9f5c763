"""When a client signs a receipt, and when never. A signature here is money: it can be settled by anyone who holds it.

A provider's last receipt is signed only if
- it is of this lease, this offer and this very serving (``openedAt`` as the chain has it),
- it carries the signature of the offer's provider, as the chain has it,
- ``paidSeconds <= usedSeconds <= elapsed`` at the block in which we look: never more seconds than block time allows,
- the result document hashes to its ``result``, and names no outputs but those that were asked for,
- every blob that the document names is here, with the hash and the size that it names.
Until all of this holds nothing is signed; what fails is said in words, and looked at again in the next block.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.receipts import ReceiptTold
from marketplace.chain.companies import provider_signs
from marketplace.chain.signing import SigningDomain
from marketplace.client.transfers import fetch_part
from marketplace.domain.blocks import BlockRef
from marketplace.domain.bundle_parts import PartStream, part_sizes
from marketplace.domain.errors import HashMismatch, InvalidField
from marketplace.domain.ids import ZERO_BYTES32, Address, Bytes32, Sha256, sha256_in, sha256_of
from marketplace.domain.leases import Lease, LeaseStatus
from marketplace.domain.limits import PART_BYTES, most_bundle_bytes, most_sealed_bytes
from marketplace.domain.orders import Order
from marketplace.domain.pricing import elapsed_of
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Result, read_result
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import Seconds
from marketplace.domain.work import Work
from marketplace.sealing import unseal_into


@dataclass(frozen=True, slots=True)
class OpenServing:
    """What the chain says at one block about the serving that a receipt must be of."""

    id: Bytes32
    order: Order
    lease: Lease
    provider: Address
    block: BlockRef
    speaker: Address | None = None
    """Whose key signs for a provider that is a company; None: the provider's own."""


def check_receipt(signed: ReceiptTold, serving: OpenServing, domain: SigningDomain) -> None:
    """Raise InvalidField for the first rule that the receipt breaks."""
    receipt, lease = signed.receipt, serving.lease
    _check_serving(receipt, serving)
    if not receipt.last:
        raise InvalidField("receipt.last", "must be true: this one closes the lease")
    elapsed = elapsed_of(serving.order, lease, serving.block.timestamp)
    if lease.status is LeaseStatus.CLAIMED:
        elapsed = min(elapsed, lease.claimed_seconds)
    elapsed = max(elapsed, lease.paid_seconds)  # paid ahead of the meter: to sign for that again costs nothing
    if not lease.paid_seconds <= receipt.used_seconds <= elapsed:
        allowed = f"{lease.paid_seconds} to {elapsed} at block {serving.block.number}"
        rule = f"is {receipt.used_seconds}; the meter allows {allowed}"
        raise InvalidField("receipt.usedSeconds", rule)
    if not provider_signs(signed.signature, receipt, serving.provider, serving.speaker or serving.provider, domain):
        raise InvalidField("receipt.signature", f"is not the provider's ({serving.provider})")


def check_progress(signed: ReceiptTold, serving: OpenServing, domain: SigningDomain, signed_seconds: Seconds) -> None:
    """Raise InvalidField for the first rule that a progress receipt breaks: it pays, and closes nothing.

    Of an open lease of ours, at no higher price than was signed, over more seconds than were paid, or signed for before
    (``signed_seconds``), and over no more than have passed at the block in which we look: so it costs no more than ending the lease now.
    """
    receipt, order, lease = signed.receipt, serving.order, serving.lease
    _check_serving(receipt, serving)
    if lease.status is not LeaseStatus.OPEN:
        raise InvalidField(
            "receipt.lease", f"is {lease.status.name.lower()}: nothing is paid for it on the way any more"
        )
    if receipt.last or receipt.result != ZERO_BYTES32:
        raise InvalidField("receipt.result", "must be zero: a progress receipt names none")
    if lease.price > order.max_price:
        raise InvalidField("receipt.lease", f"is at {lease.price}; {order.max_price} was signed")
    paid, elapsed = max(lease.paid_seconds, signed_seconds), elapsed_of(order, lease, serving.block.timestamp)
    if not paid < receipt.used_seconds <= elapsed:
        rule = (
            f"is {receipt.used_seconds}; more than {paid} and at most {elapsed} are due at block {serving.block.number}"
        )
        raise InvalidField("receipt.usedSeconds", rule)
    if not provider_signs(signed.signature, receipt, serving.provider, serving.speaker or serving.provider, domain):
        raise InvalidField("receipt.signature", f"is not the provider's ({serving.provider})")


def prepayment(serving: OpenServing, upfront: Seconds) -> Receipt | None:
    """The progress receipt that pays what its client has promised of a term lease, as soon as it is open; None where that is paid, or not due.

    Of an open lease of ours, at no higher price than was signed, and within what it guarantees: that is due in the end whatever happens,
    unless its provider fails it. What is paid is never taken back.
    """
    order, lease = serving.order, serving.lease
    is_due = lease.status is LeaseStatus.OPEN and order.is_for_later(lease.opened_at) and lease.price <= order.max_price
    if not is_due or not lease.paid_seconds < upfront <= order.min_seconds:
        return None
    return Receipt(serving.id, lease.offer, lease.opened_at, upfront, ZERO_BYTES32, False)


def _check_serving(receipt: Receipt, serving: OpenServing) -> None:
    lease = serving.lease
    if lease.status not in (LeaseStatus.OPEN, LeaseStatus.CLAIMED):
        raise InvalidField("receipt.lease", f"is {lease.status.name.lower()}: nothing is signed for it any more")
    expected = (("lease", serving.id), ("offer", lease.offer), ("opened_at", lease.opened_at))
    for name, value in expected:
        if getattr(receipt, name) != value:
            raise InvalidField(
                f"receipt.{name}", f"is {getattr(receipt, name)}, of another serving; the chain has {value}"
            )


def check_result(content: bytes, result: Bytes32, spec: JobSpec, work: Work) -> Result:
    """The result document, if it is the one that ``result`` names and speaks of this work's outputs, of no more than the order's disk."""
    actual = sha256_of(content)
    if actual != sha256_in(result):
        raise HashMismatch("the result document", sha256_in(result), actual)
    document = read_result(content)
    paths = [output.path for output in document.outputs]
    if len(set(paths)) != len(paths) or not set(paths) <= set(work.outputs):
        raise InvalidField("result.outputs", f"must be among {', '.join(work.outputs)}, each once")
    total, most = sum(output.bytes for output in document.outputs), most_bundle_bytes(spec.resources.disk_mib << 20)
    most = most_sealed_bytes(most) if work.sealed else most
    if total > most:
        raise InvalidField("result.outputs", f"have {total} bytes; the order's disk makes {most} at most")
    if document.log.bytes > PART_BYTES:
        raise InvalidField("result.log.bytes", f"is {document.log.bytes}; at most {PART_BYTES} are kept")
    return document


class ResultFolder:
    """Verified results on this machine, by hash. What is in it was hashed when it came.

    Of a result that could not be had in full nothing stays when its lease names another one: a provider could name one after the other.
    """

    def __init__(self, folder: Path, api: GatewayApi, part_bytes: int = PART_BYTES) -> None:
        self._folder, self._api, self._part_bytes = folder, api, part_bytes
        self._incomplete: dict[Bytes32, Result] = {}
        self._fresh: set[Sha256] = set()
        """What came for results that are not complete."""
        self._lock = threading.Lock()

    def fetch(self, result: Result, lease: Bytes32) -> None:
        """Have every blob of the lease's result here, verified; raise HashMismatch, InvalidField or a GatewayError.

        What was fetched before is not fetched again: after a break it goes on with the part at which it stood.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        wanted = list(self._sized(result))
        self._begin(result, lease)
        for name, size, field in wanted:
            if not self.has(name):
                self._fresh.add(name)
            fetch_part(self._api, name, size, self._folder, lease, field)
        with self._lock:
            self._incomplete.pop(lease, None)
            self._fresh -= set(result.blobs())

    def _sized(self, result: Result) -> Iterator[tuple[Sha256, int, str]]:
        """Each blob with its size, and the field that names it. Raises InvalidField where these cannot be the parts of so many bytes."""
        for output in result.outputs:
            sizes = part_sizes(output.bytes, output.parts, f"result.outputs[{output.path}].parts", self._part_bytes)
            for part, size in zip(output.parts, sizes, strict=True):
                yield part, size, "result.outputs"
        yield result.log.sha256, result.log.bytes, "result.log"

    def _begin(self, result: Result, lease: Bytes32) -> None:
        """Remember what is fetched now, and drop what came of another result of this lease and is of no other one's."""
        with self._lock:
            former, self._incomplete[lease] = self._incomplete.get(lease), result
            wanted = {name for one in self._incomplete.values() for name in one.blobs()}
            dropped = (self._fresh & set(former.blobs())) - wanted if former else set()
            self._fresh -= dropped
        for name in dropped:
            self.path(name).unlink(missing_ok=True)

    @contextmanager
    def opened(self, parts: Sequence[Sha256], key: str | None) -> Iterator[BinaryIO | PartStream]:
        """Fetched parts as one stream, opened with the job's key where it is sealed. Raises InvalidField where that does not open it."""
        with PartStream([self.path(part) for part in parts]) as stream:
            if key is None:
                yield stream
                return
            with TemporaryFile(dir=self._folder) as plain:
                unseal_into(stream, plain, key, "result")
                plain.seek(0)
                yield plain

    def path(self, name: Sha256) -> Path:
        """Where the blob is, once it was fetched."""
        return self._folder / name

    def has(self, name: Sha256) -> bool:
        return self.path(name).is_file()
