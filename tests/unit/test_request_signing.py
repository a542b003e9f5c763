"""HTTP requests that are signed before sessions exist."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.chain.request_signing import WINDOW_SECONDS, request_text, sign_request, verify_request
from marketplace.chain.signing import Key, SigningDomain, recover
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.errors import Unauthorized
from marketplace.domain.ids import Address, Bytes32, Sha256, sha256_of
from marketplace.domain.units import UnixTime

DOMAIN = SigningDomain(31337, Address("0x" + "5f" * 20))
KEY = Key(b"\x07" * 32)
NOW = UnixTime(1_700_000_000)
BODY = b'{"a":1}'
PATH = "/v1/leases/0x01/logs?offset=7"
HEADERS = sign_request(KEY, "POST", PATH, BODY, NOW, DOMAIN)


def sender(
    headers: dict[str, str] = HEADERS,
    method: str = "POST",
    path: str = PATH,
    body: bytes = BODY,
    now: int = NOW,
    domain: SigningDomain = DOMAIN,
) -> Address:
    return verify_request(headers, method, path, sha256_of(body), UnixTime(now), domain)


def test_a_signed_request_names_its_sender() -> None:
    """Header names count in any case, as HTTP has it; the account may carry its checksum."""
    lowered = {name.lower(): value for name, value in HEADERS.items()}
    shouting = HEADERS | {"Bourse-Account": "0x" + KEY.address[2:].upper()}

    assert [sender(), sender(lowered), sender(shouting)] == [KEY.address] * 3


def test_the_message_can_be_read_by_people() -> None:
    """What a wallet shows says which request, when, and to which market."""
    text = request_text("put", "/v1/blobs/ab", b"", NOW, DOMAIN)

    assert text.splitlines() == [
        "Compute Bourse request",
        "",
        "PUT /v1/blobs/ab",
        "Body sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "Block time: 1700000000",
        "Chain id: 31337",
        f"Market: {DOMAIN.market}",
    ]


def test_a_streamed_body_is_signed_by_its_hash() -> None:
    """Whether content or hash is at hand makes no difference."""
    assert sign_request(KEY, "POST", PATH, Sha256(sha256_of(BODY)), NOW, DOMAIN) == HEADERS


def test_any_change_to_a_signed_request_is_refused() -> None:
    """Method, path, query, body, time, chain, market and account are all under the signature."""
    attempts = [
        {"method": "PUT"},
        {"path": "/v1/leases/0x01/logs?offset=8"},
        {"body": BODY + b" "},
        {"headers": HEADERS | {"Bourse-Time": str(NOW + 1)}},
        {"headers": HEADERS | {"Bourse-Account": Key(b"\x08" * 32).address}},
        {"headers": HEADERS | {"Bourse-Signature": "0x" + "00" * 65}},
        {"domain": replace(DOMAIN, chain_id=1)},
        {"domain": replace(DOMAIN, market=Address("0x" + "60" * 20))},
    ]

    for attempt in attempts:
        with pytest.raises(Unauthorized, match="Bourse-Signature"):
            sender(**attempt)  # type: ignore[arg-type]


@pytest.mark.parametrize(("moved", "is_good"), [(0, True), (1, False)])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_request_is_good_within_the_window_on_both_sides(moved: int, side: int, is_good: bool) -> None:
    """Block time may differ by the window, to the second, and by no more."""
    now = NOW + side * (WINDOW_SECONDS + moved)

    if is_good:
        assert sender(now=now) == KEY.address
    else:
        with pytest.raises(Unauthorized, match="Bourse-Time"):
            sender(now=now)


@pytest.mark.parametrize("name", list(HEADERS))
def test_each_header_is_needed(name: str) -> None:
    """The error names the header that is missing."""
    with pytest.raises(Unauthorized, match=f"{name} is missing"):
        sender({key: value for key, value in HEADERS.items() if key != name})


@pytest.mark.parametrize("text", ["-1", "1.5", "soon", "١٢", "9" * 13, "0x10"])
def test_a_time_that_is_no_block_time_is_refused(text: str) -> None:
    """Only plain decimal digits are a time."""
    with pytest.raises(Unauthorized, match="Bourse-Time"):
        sender(HEADERS | {"Bourse-Time": text})


WALLET = Address("0x" + "e5" * 20)


def _as_wallet(answer: bool | Exception, asked: list[tuple[Address, Bytes32, str]], key: Key = KEY) -> Address:
    """A request in the name of a contract, which answers so when it is asked about the signature."""

    def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
        asked.append((account, digest, signature))
        if isinstance(answer, Exception):
            raise answer
        return answer

    headers = sign_request(key, "POST", PATH, BODY, NOW, DOMAIN, account=WALLET)
    return verify_request(headers, "POST", PATH, sha256_of(BODY), NOW, DOMAIN, is_approved=is_approved)


def test_a_contract_is_asked_about_a_signature_that_is_not_a_keys() -> None:
    """EIP-1271: about the very digest that the key signed; what it takes for its own is its request."""
    asked: list[tuple[Address, Bytes32, str]] = []

    assert _as_wallet(True, asked) == WALLET
    ((account, digest, signature),) = asked
    assert account == WALLET
    assert recover(digest, signature) == KEY.address
    with pytest.raises(Unauthorized, match="Bourse-Signature"):
        _as_wallet(False, [])


def test_a_node_that_is_away_lets_nobody_in() -> None:
    """Not to be able to ask is no yes, and no no either: it can be tried again."""
    with pytest.raises(ChainUnavailable):
        _as_wallet(ChainUnavailable("no node answers"), [])


def test_nobody_is_asked_about_a_keys_own_request() -> None:
    """An everyday request costs no call to the chain; nor does one that is malformed."""
    asked: list[object] = []

    def is_approved(*question: object) -> bool:
        asked.append(question)
        return True

    arguments = "POST", PATH, sha256_of(BODY), NOW, DOMAIN
    assert verify_request(HEADERS, *arguments, is_approved=is_approved) == KEY.address
    for wrong in (
        {"Bourse-Account": "nobody"},
        {"Bourse-Signature": "0xzz"},
        {"Bourse-Signature": "0x" + "00" * 5_000},
    ):
        with pytest.raises(Unauthorized):
            verify_request(HEADERS | wrong, *arguments, is_approved=is_approved)
    assert asked == []
