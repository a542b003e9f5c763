"""How a gateway is asked: reads as records of one kind, pages of them, and signed writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx

from marketplace.api.client.blobs import GatewayBlobs
from marketplace.api.client.failover import http_to
from marketplace.api.client.gpus import GatewayGpus
from marketplace.api.client.http import (
    DEFAULT_RETRIES,
    DEFAULT_TIMEOUT,
    Answer,
    BlockTime,
    Retries,
    Timeout,
    Waiter,
    accepted,
)
from marketplace.api.client.signed_http import RequestSigner, SignedHttp
from marketplace.api.market import MarketAnswer
from marketplace.api.pages import Page, all_items
from marketplace.api.reading import MOST_BYTES, MOST_LIST_BYTES, read, same
from marketplace.api.record import Record
from marketplace.chain.request_signing import FOR_HEADER
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime

T = TypeVar("T")
Told = TypeVar("Told", bound=Record)

JSON_BODY = {"Content-Type": "application/json"}
BINARY_BODY = {"Content-Type": "application/octet-stream"}


class GatewayCalls:
    """One gateway, and in whose name it is asked."""

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
        self.gpus = GatewayGpus(self._line)
        self._blobs = GatewayBlobs(self._line, {FOR_HEADER: represented} if represented else {})

    @property
    def base_url(self) -> str:
        return self._http.base_url

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def market(self) -> MarketAnswer:
        """Which market this gateway serves, its constants, its scheduler's address, and the block it knows."""
        told = self._told(MarketAnswer, "/v1/market")
        if self._domain is not None:
            same("chainId", told.chain_id, self._domain.chain_id)
            same("market", told.market, self._domain.market)
        return told

    def _get(self, path: str, most_bytes: int = MOST_BYTES) -> bytes:
        """The body of a success; raise GatewayProblem, GatewayUnavailable."""
        return accepted(self._http.send("GET", path, most_bytes=most_bytes)).content

    def _told(self, kind: type[Told], path: str, **asked: object) -> Told:
        """What is said under this path, as this kind of record. ``asked``: fields that name what was asked for, and say it again."""
        told = read(kind, self._get(path, MOST_LIST_BYTES), most_bytes=MOST_LIST_BYTES)
        for name, value in asked.items():
            same(name, getattr(told, name), value)
        return told

    def _pages(
        self, kind: type[Page[T]], path: str, query: dict[str, Any], check: Callable[[Any], None] | None = None
    ) -> Iterator[T]:
        return all_items(kind, path, query, lambda page: self._get(page, MOST_LIST_BYTES), check)

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
