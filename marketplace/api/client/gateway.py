"""The gateway's HTTP surface as typed methods; the SDK and the provider agent speak to it through this class only.

Connection failures raise GatewayUnavailable (after bounded retries where the request may be sent twice), problems raise
GatewayProblem(status, reason, detail, field). What is fetched by hash is hashed before it is handed on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import httpx
from msgspec import UNSET, Raw

from marketplace.api.accounts import AccountAnswer, BeatsAnswer, BeatTold, HeartbeatAnswer, ProviderAnswer
from marketplace.api.client.blobs import MAX_BLOB_BYTES, GatewayBlobs
from marketplace.api.client.failover import http_to
from marketplace.api.client.http import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    Answer,
    BlockTime,
    Retries,
    Timeout,
    Waiter,
    accepted,
    problem_in,
)
from marketplace.api.client.signed_http import RequestSigner, SignedHttp
from marketplace.api.fields import Uint80
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
from marketplace.api.market import ClassPage, MarketAnswer
from marketplace.api.measurements import MOST_OFFERS_ASKED, MeasurementsAnswer, MeasurementSent
from marketplace.api.offers import BookAnswer, OfferAnswer, OfferPage, OfferTold
from marketplace.api.orders import ExplanationTold, OrderAnswer, OrderDocument, OrderSubmission
from marketplace.api.pages import Page, all_items
from marketplace.api.quotes import DraftQuoteRequest, QuotesAnswer, QuoteTold
from marketplace.api.reading import MOST_BYTES, MOST_LIST_BYTES, read, same
from marketplace.api.receipts import ReceiptDocument, ReceiptsAnswer, ReceiptSubmission, ReceiptTold, Side
from marketplace.api.record import Record, to_json
from marketplace.api.rounds import RoundPage, RoundTold
from marketplace.api.sitting import HostKeyTold
from marketplace.chain.request_signing import FOR_HEADER, HEARTBEAT_BODY, HEARTBEAT_PATH
from marketplace.chain.shares import Part
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.classes import GpuClass
from marketplace.domain.declines import SignedDecline
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable, HashMismatch
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.measurements import SignedMeasurement
from marketplace.domain.orders import SignedOrder
from marketplace.domain.receipts import Receipt
from marketplace.domain.results import Result
from marketplace.domain.sitting import SignedHostKey
from marketplace.domain.units import Bps, PricePerGpuHour, Seconds, UnixTime

T = TypeVar("T")
Told = TypeVar("Told", bound=Record)

MOST_LOG_BYTES = 64 << 20
"""Of a log that is read at once."""
_MOST_PER_PAGE = 100


class GatewayApi:
    """One gateway, spoken to by one account.

    GatewayApi("http://127.0.0.1:8000")                   reads only, and what is public
    GatewayApi(url, key=key)                               writes too, and reads what this account may
    GatewayApi(url, key=key, domain=market.domain, block_time=lambda: chain.head().timestamp)
                                                           trusts the chain, not the gateway, for what it signs
    GatewayApi(url, key=key, account=wallet)               writes in the name of a contract that takes the key's signature
    GatewayApi(url, key=key, represented=account)          uploads for the account whose delegate the key is
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: Key | None = None,
        domain: SigningDomain | None = None,
        block_time: BlockTime | None = None,
        timeout: Timeout = DEFAULT_TIMEOUT,
        retries: Retries = DEFAULT_RETRIES,
        waiter: Waiter | None = None,
        transport: httpx.BaseTransport | None = None,
        account: Address | None = None,
        represented: Address | None = None,
        others: Sequence[str] = (),
    ) -> None:
        """``others``: URLs of gateways that are asked in their order where the one before does not answer."""
        self._http = http_to(
            (base_url, *others), key=key, timeout=timeout, retries=retries, waiter=waiter, transport=transport
        )
        self._domain = domain
        self._signer = signer = RequestSigner(key, self._signing_domain, block_time or self._gateway_time, account)
        self._line = SignedHttp(self._http, signer)
        self._blobs = GatewayBlobs(self._line, {FOR_HEADER: represented} if represented else {})

    @property
    def base_url(self) -> str:
        return self._http.base_url

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # -- the market ---------------------------------------------------------------------------------------------------

    def market(self) -> MarketAnswer:
        """Which market this gateway serves, its constants, its scheduler's address, and the block it knows."""
        told = self._told(MarketAnswer, "/v1/market")
        if self._domain is not None:
            same("chainId", told.chain_id, self._domain.chain_id)
            same("market", told.market, self._domain.market)
        return told

    def ready(self, duty: str = "") -> bool:
        """Whether the gateway answers and says that everything that it needs for this duty (default: at all) does. Never retried."""
        try:
            return self._http.send("GET", f"/ready?for={duty}" if duty else "/ready", once=True).is_success
        except GatewayUnavailable:
            return False

    def classes(self) -> tuple[GpuClass, ...]:
        """The GPU classes that can be traded."""
        return tuple(item.row for item in self._told(ClassPage, "/v1/classes").items)

    def offers(self, gpu_class: int | None = None, *, provider: Address | None = None) -> tuple[OfferTold, ...]:
        """The offers on the market, of one class or one provider where asked; all pages."""
        query = {"class": gpu_class, "provider": provider}
        return tuple(map(_readable, self._pages(OfferPage, "/v1/offers", query)))

    def offer(self, offer: OfferId) -> OfferAnswer:
        """One offer. Raises GatewayProblem for one that is not there."""
        return self._told(OfferAnswer, f"/v1/offers/{offer}", id=offer)

    def measurements(self, offers: Sequence[OfferId]) -> dict[OfferId, SignedMeasurement]:
        """What the agents of these offers saw of their GPUs. Nothing about it has been checked (``chain.statements``)."""
        lists = [offers[first : first + MOST_OFFERS_ASKED] for first in range(0, len(offers), MOST_OFFERS_ASKED)]
        paths = ["/v1/measurements?offers=" + ",".join(map(str, some)) for some in lists]
        return {offer: one for path in paths for offer, one in self._told(MeasurementsAnswer, path).by_offer.items()}

    def post_measurement(self, signed: SignedMeasurement) -> None:
        """Leave what our agent saw of the GPUs behind an offer of ours."""
        accepted(self._write_raw("POST", "/v1/measurements", to_json(MeasurementSent.of(signed)), _JSON))

    def waiting(self, gpu_class: int) -> tuple[Bytes32, ...]:
        """The ids of the orders that wait for GPUs of this class."""
        book = self._told(BookAnswer, f"/v1/book/{gpu_class}", gpu_class=gpu_class)
        for ask in book.asks:
            _readable(ask)
        return tuple(bid.id for bid in book.bids)

    def quotes(
        self,
        gpu: str,
        *,
        gpus: int = 1,
        max_seconds: Seconds,
        max_price: PricePerGpuHour | None = None,
        spec: Sha256 | None = None,
        prefer_regions: Sequence[str] = (),
        min_reliability_bps: int = 0,
    ) -> tuple[QuoteTold, ...]:
        """What the job would cost on each offer, cheapest first, and why the others cannot serve it.

        Offers in preferred regions come before cheaper ones, where they are hardly dearer.
        """
        asked = DraftQuoteRequest(
            gpu, max_seconds, gpus, None if max_price is None else Uint80(max_price), spec, tuple(prefer_regions), Bps(min_reliability_bps)
        )  # fmt: skip
        answer = self._http.send(
            "POST", "/v1/quotes", content=to_json(asked), headers=_JSON, most_bytes=MOST_LIST_BYTES
        )
        quotes = read(QuotesAnswer, accepted(answer).content, most_bytes=MOST_LIST_BYTES).quotes
        for quote in quotes:
            _readable(quote.offer)
        return tuple(quotes)

    # -- orders -------------------------------------------------------------------------------------------------------

    def post_order(self, signed: SignedOrder) -> Bytes32:
        """Put a signed order on the book; its id. May be repeated: the signature is the authority, the id names it."""
        body = to_json(OrderSubmission(OrderDocument.of(signed.order), signed.signature))
        headers = {**_JSON, "Idempotency-Key": signed.id}
        answer = self._http.send("POST", "/v1/orders", content=body, headers=headers)
        same("id", read(OrderAnswer, accepted(answer).content).id, signed.id)
        return signed.id

    def order(self, order: Bytes32) -> OrderAnswer:
        """The order as the gateway keeps it; GatewayProblem 404 where it does not."""
        return self._told(OrderAnswer, f"/v1/orders/{order}", id=order)

    def withdraw_order(self, order: Bytes32) -> None:
        """Take our order off the book. Who has its signature can still open it: cancel on the chain for good."""
        self._write("DELETE", f"/v1/orders/{order}")

    def explanation(self, order: Bytes32) -> ExplanationTold | None:
        """What the last round said about the order; None before the first, and when Redis forgot. GatewayProblem 404 for an order that is not here."""
        try:
            return self._told(ExplanationTold, f"/v1/orders/{order}/explanation", order=order)
        except GatewayProblem as exc:
            if exc.status == 404 and exc.field != "order":
                return None
            raise

    # -- leases -------------------------------------------------------------------------------------------------------

    def lease(self, lease: Bytes32) -> LeaseAnswer:
        """The projection's row, with the provider's last sign of life; GatewayProblem 404 before it was opened."""
        return self._told(LeaseAnswer, f"/v1/leases/{lease}", id=lease)

    def append_log(self, lease: Bytes32, offset: int, chunk: bytes) -> int:
        """Append to a job's log at ``offset`` (bytes); the length that the gateway has now. Go on from there.

        The same chunk twice, or a chunk after a gap, changes nothing: the answer says where the gateway stands.
        """
        answer = self._write_raw("POST", f"/v1/leases/{lease}/logs?offset={offset}", chunk, _BINARY)
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
        accepted(self._write_raw("POST", f"/v1/leases/{lease}/receipts", body, _JSON))

    def receipts(self, lease: Bytes32) -> tuple[ReceiptTold, ...]:
        """All receipts of the lease, of all its servings, oldest first. Nothing about them has been checked."""
        found = self._told(ReceiptsAnswer, f"/v1/leases/{lease}/receipts").receipts
        for item in found:
            same("receipt.lease", item.document.lease, lease)
        return tuple(found)

    def post_decline(self, signed: SignedDecline) -> bool:
        """Leave the provider's signed word why it gave the lease back."""
        body, path = to_json(DeclineTold.of(signed)), f"/v1/leases/{signed.decline.lease}/declines"
        return accepted(self._http.send("POST", path, content=body, headers=_JSON)).is_success

    def declines(self, lease: Bytes32) -> tuple[SignedDecline, ...]:
        """Why providers gave this order back, in their words. Nothing about them has been checked (``chain.statements``)."""
        found = self._told(DeclinesAnswer, f"/v1/leases/{lease}/declines").declines
        for item in found:
            same("lease", item.lease, lease)
        return tuple(signed for item in found if (signed := item.signed) is not None)

    def post_job_key(self, lease: Bytes32, sealed: str) -> None:
        """Leave the key of a sealed job for the provider that serves it, sealed to it."""
        body = to_json(JobKeyTold(lease, sealed))
        accepted(self._write_raw("POST", f"/v1/leases/{lease}/key", body, _JSON))

    def job_key(self, lease: Bytes32) -> str:
        """What the client's side has left of that kind; GatewayProblem 404 before it has."""
        told = read(JobKeyTold, self._line.get(f"/v1/leases/{lease}/key"))
        same("lease", told.lease, lease)
        return told.key

    def post_host_key(self, signed: SignedHostKey) -> None:
        """Say by what key the machine of a lease is known to who sits at it."""
        body, path = to_json(HostKeyTold.of(signed)), f"/v1/leases/{signed.host_key.lease}/host-key"
        accepted(self._http.send("POST", path, content=body, headers=_JSON))

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

    # -- accounts and signs of life -----------------------------------------------------------------------------------

    def heartbeat(self) -> UnixTime:
        """Tell the gateway that we are alive now, which is what we sign; the block time that it noted."""
        self._signer.refresh()
        answer = accepted(self._write_raw("POST", HEARTBEAT_PATH, HEARTBEAT_BODY, _JSON))
        return read(HeartbeatAnswer, answer.content).at

    def heartbeats(self, provider: Address) -> tuple[BeatTold, ...]:
        """The provider's last sign of life, and the newest of others beside it. Nothing about them has been checked."""
        return tuple(self._told(BeatsAnswer, f"{HEARTBEAT_PATH}?provider={provider}").heartbeats)

    def account(self, address: Address) -> AccountAnswer:
        """The account's free balance in the projection."""
        return self._told(AccountAnswer, f"/v1/accounts/{address}", address=address)

    def provider(self, address: Address) -> ProviderAnswer:
        """The provider's offers, and its reputation with the evidence. Who never served is a newcomer."""
        told = self._told(ProviderAnswer, f"/v1/providers/{address}", address=address)
        for offer in told.offers:
            _readable(offer)
        return told

    # -- rounds -------------------------------------------------------------------------------------------------------

    def rounds(self, limit: int = 50) -> tuple[RoundTold, ...]:
        """The newest rounds that were written down to be posted."""
        found = self._pages(RoundPage, "/v1/rounds", {"limit": min(limit, _MOST_PER_PAGE)})
        return tuple(islice(found, limit))

    def fetch_round(self, round_hash: Bytes32) -> bytes:
        """The plan that was posted under this hash, byte for byte; raise HashMismatch when it is not what its name says.

        What it was made from is the blob that it names as ``snapshot``.
        """
        content = self._get(f"/v1/rounds/{round_hash}", MOST_LIST_BYTES)
        if (actual := bytes32_of(sha256_of(content))) != round_hash:
            raise HashMismatch("round", round_hash, actual)
        return content

    # -- blobs --------------------------------------------------------------------------------------------------------

    def has_blob(self, name: Sha256) -> bool:
        """Whether the gateway has the blob from us, or for everybody."""
        return self._blobs.has(name)

    def put_blob(self, content: bytes | Path, *, public: bool = False) -> Sha256:
        """Upload bytes or a file, unless the gateway has them from us; their name. ``public``: everybody may read them."""
        return self._blobs.put(content, public=public)

    def fetch_blob(self, name: Sha256, *, lease: Bytes32 | None = None, limit_bytes: int = MAX_BLOB_BYTES) -> bytes:
        """The blob, public or of this lease, at most ``limit_bytes`` of it; raise HashMismatch when it is not what its name says."""
        return self._blobs.fetch(name, limit_bytes, lease)

    def fetch_blob_into(
        self, name: Sha256, into: Path, *, lease: Bytes32 | None = None, limit_bytes: int = MAX_BLOB_BYTES
    ) -> Path:
        """The blob as a file that appears under its name only when its hash is right."""
        return self._blobs.fetch_into(name, into, limit_bytes, lease)

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _get(self, path: str, most_bytes: int = MOST_BYTES) -> bytes:
        """The body of a success; raise GatewayProblem, GatewayUnavailable."""
        return accepted(self._http.send("GET", path, most_bytes=most_bytes)).content

    def _told(self, kind: type[Told], path: str, **asked: object) -> Told:
        """What is said under this path, as this kind of record. ``asked``: fields that name what was asked for, and say it again."""
        told = read(kind, self._get(path, MOST_LIST_BYTES), most_bytes=MOST_LIST_BYTES)
        for name, value in asked.items():
            same(name, getattr(told, name), value)
        return told

    def _pages(self, kind: type[Page[T]], path: str, query: dict[str, Any]) -> Iterator[T]:
        return all_items(kind, path, query, lambda page: self._get(page, MOST_LIST_BYTES))

    def _write(self, method: str, path: str) -> None:
        accepted(self._write_raw(method, path, b"", {}))

    def _write_raw(self, method: str, path: str, content: bytes | Path, headers: dict[str, str]) -> Answer:
        """A signed write."""
        return self._line.write(method, path, content, headers)

    def _signing_domain(self) -> SigningDomain:
        if self._domain is None:
            terms = self.market().terms
            self._domain = SigningDomain(terms.chain_id, terms.market)
        return self._domain

    def _gateway_time(self) -> UnixTime:
        return self.market().block.timestamp


def _readable(told: OfferTold) -> OfferTold:
    """The offer, whose machine can be read. Raises UnreadableAnswer."""
    _ = told.machine
    return told


_JSON = {"Content-Type": "application/json"}
_BINARY = {"Content-Type": "application/octet-stream"}

__all__ = ["GatewayApi", "GatewayProblem", "GatewayUnavailable", "Retries", "Timeout"]
