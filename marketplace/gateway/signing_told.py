"""How a request shows whose it is, as OpenAPI says it: three signed headers, or a session's token. With test vectors."""

from __future__ import annotations

from typing import Any

from marketplace.chain.request_signing import (
    ACCOUNT_HEADER,
    SIGNATURE_HEADER,
    TIME_HEADER,
    WINDOW_SECONDS,
    request_text,
    sign_request,
)
from marketplace.chain.signing import Key, SigningDomain
from marketplace.domain.ids import Address, sha256_of
from marketplace.domain.units import UnixTime

Json = dict[str, Any]

_ACCOUNT, _TIME, _SIGNATURE, _SESSION = "bourseAccount", "bourseTime", "bourseSignature", "bourseSession"
_BY_SIGNATURE: dict[str, list[str]] = {_ACCOUNT: [], _TIME: [], _SIGNATURE: []}
_BY_SESSION: dict[str, list[str]] = {_SESSION: []}

SIGNED = [_BY_SIGNATURE]
"""A write."""
SIGNED_OR_OPEN = [{}, _BY_SIGNATURE, _BY_SESSION]
"""A read: what is public needs nothing."""
IN_SESSION = [_BY_SESSION]

_TEXT = (
    "EIP-191 signature (personal_sign) of the text `Compute Bourse request`, an empty line, and the lines `METHOD path`, "
    "`Body sha256: …`, `Block time: …`, `Chain id: …`, `Market: …`. The path is as sent, with its query; the hash is 64 hex digits, "
    "the market `0x` and lower case. Lines end with one LF, and **there is none behind the last one**. 65 bytes as 0x-hex; where the "
    "account is a contract, whatever it takes for its own (EIP-1271)."
)
_VECTOR_KEY = Key(bytes([7]) * 32)
_VECTOR_DOMAIN = SigningDomain(31337, Address("0x" + "ab" * 20))
_VECTOR_TIME = UnixTime(1_700_000_000)
_VECTORS = (("POST", "/v1/heartbeats", b"{}"), ("GET", f"/v1/leases/0x{'cd' * 32}/logs?offset=40&follow=false", b""))


def _vector(method: str, path: str, body: bytes) -> Json:
    return {
        "privateKey": "0x" + "07" * 32, "method": method, "path": path, "body": body.decode(), "bodySha256": sha256_of(body),
        "text": request_text(method, path, body, _VECTOR_TIME, _VECTOR_DOMAIN),
        "headers": sign_request(_VECTOR_KEY, method, path, body, _VECTOR_TIME, _VECTOR_DOMAIN),
    }  # fmt: skip


def schemes() -> Json:
    """The security schemes. The first three go together."""
    time = f"A block time within {WINDOW_SECONDS} s of the chain's head, as a decimal number."
    return {
        _ACCOUNT: _header_scheme(ACCOUNT_HEADER, "The sender's address."),
        _TIME: _header_scheme(TIME_HEADER, time),
        _SIGNATURE: _header_scheme(SIGNATURE_HEADER, _TEXT) | {"x-test-vectors": [_vector(*one) for one in _VECTORS]},
        _SESSION: {"type": "http", "scheme": "bearer", "description": "The token of a session (`POST /v1/sessions`): it reads, and writes nothing."},
    }  # fmt: skip


def _header_scheme(name: str, description: str) -> Json:
    return {"type": "apiKey", "in": "header", "name": name, "description": description}


def parameters(*, required: bool) -> list[Json]:
    """The same headers as parameters, for clients that are generated."""
    patterns = {
        ACCOUNT_HEADER: "^0x[0-9a-fA-F]{40}$", TIME_HEADER: "^[0-9]{1,12}$", SIGNATURE_HEADER: "^0x([0-9a-fA-F]{2})*$",
    }  # fmt: skip
    return [
        {"name": name, "in": "header", "required": required, "schema": {"type": "string", "pattern": pattern}}
        for name, pattern in patterns.items()
    ]
