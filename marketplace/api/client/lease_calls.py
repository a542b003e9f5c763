"""What is asked and said about a lease: its row, log, receipts, declines, keys and outputs."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, Raw

from marketplace.api.client.calls import BINARY_BODY, JSON_BODY, GatewayCalls
from marketplace.api.client.http import (
    accepted,
    problem_in,
)
from marketplace.api.following import log_pieces
from marketplace.api.leases import (
    DeclinesAnswer,
    DeclineTold,
    JobKeyTold,
    LeaseAnswer,
    LogLength,
    LogPiece,
    OutputsAnswer,
)
from marketplace.api.reading import MOST_LIST_BYTES, read, same
from marketplace.api.receipts import ReceiptDocument, ReceiptsAnswer, ReceiptSubmission, ReceiptTold, Side
from marketplace.api.record import to_json
from marketplace.api.ssh import HostKeyTold
from marketplace.chain.shares import Part
from marketplace.domain.declines import SignedDecline
from marketplace.domain.ids import Bytes32
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Result
from marketplace.domain.ssh import SignedHostKey
from marketplace.domain.units import UnixTime

MOST_LOG_BYTES = 64 << 20
"""Of a log that is read at once."""


class LeaseCalls(GatewayCalls):
    """One gateway, asked about leases."""

    def lease(self, lease: Bytes32) -> LeaseAnswer:
        """The projection's row, with the provider's last sign of life; GatewayProblem 404 before it was opened."""
        return self._told(LeaseAnswer, f"/v1/leases/{lease}", id=lease)

    def append_log(self, lease: Bytes32, offset: int, chunk: bytes) -> int:
        """Append to a job's log at ``offset`` (bytes); the length that the gateway has now. Go on from there.

        The same chunk twice, or a chunk after a gap, changes nothing: the answer says where the gateway stands.
        """
        answer = self._write_raw("POST", f"/v1/leases/{lease}/logs?offset={offset}", chunk, BINARY_BODY)
        if answer.status == 409 and (length := problem_in(answer).length) is not UNSET:
            return length
        length = read(LogLength, accepted(answer).content).length
        same("length", length, offset + len(chunk))
        return length

    def log(self, lease: Bytes32, offset: int = 0) -> bytes:
        """What there is of the log from ``offset`` on."""
        return self._line.get(f"/v1/leases/{lease}/logs?follow=false&offset={offset}", MOST_LOG_BYTES)

    def follow_log(self, lease: Bytes32, offset: int = 0) -> Iterator[LogPiece]:
        """The log from ``offset`` on, as it grows, until it ends. Raise GatewayUnavailable when the line breaks.

        Ask again from the last piece's ``next`` then.
        """
        yield from log_pieces(self._line.events(f"/v1/leases/{lease}/logs?offset={offset}"), offset)

    def post_receipt(
        self, lease: Bytes32, receipt: Receipt, role: Side, signature: str, result: Result | None = None
    ) -> None:
        """Hand a signed receipt to the other side; the provider adds the result document that it names."""
        document = UNSET if result is None else Raw(result.canonical())
        body = to_json(ReceiptSubmission(ReceiptDocument.of(receipt), role, signature, document))
        accepted(self._write_raw("POST", f"/v1/leases/{lease}/receipts", body, JSON_BODY))

    def receipts(self, lease: Bytes32) -> tuple[ReceiptTold, ...]:
        """All receipts of the lease, of all its servings, oldest first. Nothing about them has been checked."""
        found = self._told(ReceiptsAnswer, f"/v1/leases/{lease}/receipts").receipts
        for item in found:
            same("receipt.lease", item.document.lease, lease)
        return tuple(found)

    def post_decline(self, signed: SignedDecline) -> bool:
        """Leave the provider's signed word why it gave the lease back."""
        body, path = to_json(DeclineTold.of(signed)), f"/v1/leases/{signed.decline.lease}/declines"
        return accepted(self._http.send("POST", path, content=body, headers=JSON_BODY)).is_success

    def declines(self, lease: Bytes32) -> tuple[SignedDecline, ...]:
        """Why providers gave this order back, in their words. Nothing about them has been checked (``chain.statements``)."""
        found = self._told(DeclinesAnswer, f"/v1/leases/{lease}/declines").declines
        for item in found:
            same("lease", item.lease, lease)
        return tuple(signed for item in found if (signed := item.signed) is not None)

    def post_job_key(self, lease: Bytes32, sealed: str) -> None:
        """Leave the key of a sealed job for the provider that serves it, sealed to it."""
        body = to_json(JobKeyTold(lease, sealed))
        accepted(self._write_raw("POST", f"/v1/leases/{lease}/key", body, JSON_BODY))

    def job_key(self, lease: Bytes32) -> str:
        """What the client's side has left of that kind; GatewayProblem 404 before it has."""
        told = read(JobKeyTold, self._line.get(f"/v1/leases/{lease}/key"))
        same("lease", told.lease, lease)
        return told.key

    def post_host_key(self, signed: SignedHostKey) -> None:
        """Say by what key the machine of a lease is known to who sits at it."""
        body, path = to_json(HostKeyTold.of(signed)), f"/v1/leases/{signed.host_key.lease}/host-key"
        accepted(self._http.send("POST", path, content=body, headers=JSON_BODY))

    def host_key(self, lease: Bytes32) -> SignedHostKey:
        """What its provider has left of that kind. Nothing about it has been checked (``chain.statements``)."""
        told = self._told(HostKeyTold, f"/v1/leases/{lease}/host-key", lease=lease)
        return told.signed

    def signed_headers(self, path: str) -> dict[str, str]:
        """What signs a read of that path at somebody who works for this gateway, over a block time asked for just now."""
        return self._line.fresh_headers(path)

    def outputs(self, lease: Bytes32) -> OutputsAnswer:
        """The provider's result document; GatewayProblem 404 before there is one."""
        told = read(OutputsAnswer, self._line.get(f"/v1/leases/{lease}/outputs"), most_bytes=MOST_LIST_BYTES)
        same("lease", told.lease, lease)
        return told.checked()

    def share(self, lease: Bytes32, part: Part, until: UnixTime) -> list[str]:
        """URLs with which anybody may read the lease's log, or its result and then its outputs, until block time ``until``."""
        token, here = self._signer.share(lease, part, until).token, f"{self.base_url}/v1/leases/{lease}"
        if part is Part.LOG:
            return [f"{here}/logs?follow=false&share={token}"]
        names = dict.fromkeys(part for output in self.outputs(lease).result.outputs for part in output.parts)
        return [f"{here}/outputs?share={token}", *(f"{here}/blobs/{name}?share={token}" for name in names)]
