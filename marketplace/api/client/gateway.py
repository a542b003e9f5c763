"""The gateway's HTTP surface as typed methods; the SDK and the provider agent speak to it through this class only.

Connection failures raise GatewayUnavailable (after bounded retries where the request may be sent twice), problems raise
GatewayProblem(status, reason, detail, field). What is fetched by hash is hashed before it is handed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from marketplace.api.accounts import AccountAnswer, BeatsAnswer, BeatTold, HeartbeatAnswer, ProviderAnswer
from marketplace.api.client.blobs import MAX_BLOB_BYTES
from marketplace.api.client.calls import JSON_BODY
from marketplace.api.client.http import (
    Retries,
    Timeout,
    accepted,
)
from marketplace.api.client.lease_calls import LeaseCalls
from marketplace.api.companies import CompanyAnswer
from marketplace.api.fields import Uint80
from marketplace.api.market import ClassPage
from marketplace.api.offers import BookAnswer, OfferAnswer, OfferPage, OfferTold
from marketplace.api.orders import ExplanationTold, OrderAnswer, OrderDocument, OrderSubmission
from marketplace.api.quotes import DraftQuoteRequest, QuotesAnswer, QuoteTold
from marketplace.api.reading import MOST_LIST_BYTES, read, same
from marketplace.api.record import to_json
from marketplace.api.reservations import ReservationPage
from marketplace.api.rounds import RoundPage, RoundTold
from marketplace.api.vaults import LoanAnswer, VaultAnswer, VaultPage, VaultTold
from marketplace.api.warm_images import WarmImageAnswer, WarmImagesSent
from marketplace.chain.request_signing import HEARTBEAT_BODY, HEARTBEAT_PATH
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable, HashMismatch
from marketplace.domain.ids import Address, Bytes32, OfferId, Sha256, bytes32_of, sha256_of
from marketplace.domain.orders import SignedOrder
from marketplace.domain.units import Bps, PricePerGpuHour, Seconds, UnixTime

Told = TypeVar("Told", bound=OfferTold)

_MOST_PER_PAGE = 100


class GatewayApi(LeaseCalls):
    """One gateway, spoken to by one account.

    GatewayApi("http://127.0.0.1:8000")                   reads only, and what is public
    GatewayApi(url, key=key)                               writes too, and reads what this account may
    GatewayApi(url, key=key, domain=market.domain, block_time=lambda: chain.head().timestamp)
                                                           trusts the chain, not the gateway, for what it signs
    GatewayApi(url, key=key, account=wallet)               writes in the name of a contract that takes the key's signature
    GatewayApi(url, key=key, represented=account)          uploads for the account whose delegate the key is
    """

    # -- the market ---------------------------------------------------------------------------------------------------

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
        return _readable(self._told(OfferAnswer, f"/v1/offers/{offer}", id=offer))

    def waiting(self, gpu_class: int) -> tuple[Bytes32, ...]:
        """The ids of the orders that wait for GPUs of this class."""

        def check(book: BookAnswer) -> None:
            same("gpu_class", book.gpu_class, gpu_class)
            for ask in book.asks:
                _readable(ask)

        bids = self._pages(BookAnswer, f"/v1/book/{gpu_class}", {"depth": _MOST_PER_PAGE}, check)
        return tuple(bid.id for bid in bids)

    def reservations(self, after: str = "") -> ReservationPage:
        """A page of the waiting orders for term leases, oldest first, behind ``after``; nothing about them has been checked."""
        return self._told(
            ReservationPage, f"/v1/reservations?limit={_MOST_PER_PAGE}" + (f"&after={after}" if after else "")
        )

    def quotes(
        self,
        gpu: str | Sequence[str],
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
            gpu if isinstance(gpu, str) else list(gpu), max_seconds, gpus, None if max_price is None else Uint80(max_price), spec, tuple(prefer_regions), Bps(min_reliability_bps)
        )  # fmt: skip
        answer = self._http.send(
            "POST", "/v1/quotes", content=to_json(asked), headers=JSON_BODY, most_bytes=MOST_LIST_BYTES
        )
        quotes = read(QuotesAnswer, accepted(answer).content, most_bytes=MOST_LIST_BYTES).quotes
        for quote in quotes:
            _readable(quote.offer)
        return tuple(quotes)

    # -- orders -------------------------------------------------------------------------------------------------------

    def post_order(self, signed: SignedOrder) -> Bytes32:
        """Put a signed order on the book; its id. May be repeated: the signature is the authority, the id names it."""
        body = to_json(OrderSubmission(OrderDocument.of(signed.order), signed.signature))
        headers = {**JSON_BODY, "Idempotency-Key": signed.id}
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
        told = self._told(ExplanationTold, f"/v1/orders/{order}/explanation", order=order)
        return told if told.block else None

    # -- accounts and signs of life -----------------------------------------------------------------------------------

    def heartbeat(self) -> UnixTime:
        """Tell the gateway that we are alive now, which is what we sign; the block time that it noted."""
        self._signer.refresh()
        answer = accepted(self._write_raw("POST", HEARTBEAT_PATH, HEARTBEAT_BODY, JSON_BODY))
        return read(HeartbeatAnswer, answer.content).at

    def heartbeats(self, provider: Address) -> tuple[BeatTold, ...]:
        """The provider's last sign of life, and the newest of others beside it. Nothing about them has been checked."""
        return tuple(self._told(BeatsAnswer, f"{HEARTBEAT_PATH}?provider={provider}").heartbeats)

    def post_warm_images(self, images: Sequence[Sha256]) -> None:
        """Say which container images our agent has unpacked, in the place of those that it named before."""
        accepted(self._write_raw("POST", "/v1/images", to_json(WarmImagesSent(list(images))), JSON_BODY))

    def warm_at(self, image: Sha256) -> frozenset[Address]:
        """The providers that say that they have it: their word, and a hint only."""
        return frozenset(self._told(WarmImageAnswer, f"/v1/images/{image}/providers", image=image).providers)

    def account(self, address: Address) -> AccountAnswer:
        """The account's free balance in the projection."""
        return self._told(AccountAnswer, f"/v1/accounts/{address}", address=address)

    def provider(self, address: Address) -> ProviderAnswer:
        """The provider's offers, and its reputation with the evidence. Who never served is a newcomer."""
        told = self._told(ProviderAnswer, f"/v1/providers/{address}", address=address)
        for offer in told.offers:
            _readable(offer)
        return told

    # -- vaults and companies -----------------------------------------------------------------------------------------

    def vaults(self) -> tuple[VaultTold, ...]:
        """The vaults that the operator names."""
        return tuple(self._told(VaultPage, "/v1/vaults").items)

    def vault(self, vault: Address) -> VaultAnswer:
        """One of them, with its terms and its loans. GatewayProblem 404 for any other."""
        return self._told(VaultAnswer, f"/v1/vaults/{vault}", vault=vault)

    def loan(self, vault: Address, number: int) -> LoanAnswer:
        """One loan of it, also one that is over."""
        return self._told(LoanAnswer, f"/v1/vaults/{vault}/loans/{number}", vault=vault, loan=number)

    def company(self, spv: Address) -> CompanyAnswer:
        """A company with its offers. GatewayProblem 404 for whoever is none."""
        told = self._told(CompanyAnswer, f"/v1/companies/{spv}", spv=spv)
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


def _readable(told: Told) -> Told:
    """The offer, whose machine can be read. Raises UnreadableAnswer."""
    _ = told.machine
    return told


__all__ = ["GatewayApi", "GatewayProblem", "GatewayUnavailable", "Retries", "Timeout"]
