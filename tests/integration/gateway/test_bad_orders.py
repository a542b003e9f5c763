"""Bad orders: each is refused with a 4xx problem that names the field and the rule, and changes nothing at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from marketplace.chain.signing import SigningDomain
from marketplace.domain.canonical import canonical_json
from marketplace.domain.ids import ZERO_ADDRESS, bytes32_of, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.work import Input, work_name
from tests.integration.gateway.conftest import (
    BUNDLE,
    CLIENT,
    DOLLAR,
    OPENER,
    OTHER_CLIENT,
    PROVIDER,
    STRANGER,
    Gateway,
    submission,
)
from tests.works import SOME_WORK, WORK

PROBLEM_FIELDS = {"type", "title", "status", "detail", "reason", "field", "rule"}
FULL_ORDER_BITS = {
    "classes": 256, "offer": 40, "gpus": 16, "maxSeconds": 32, "minSeconds": 32, "maxPrice": 80, "minBondBps": 16,
    "startsAt": 40, "expiresAt": 40, "tip": 96, "salt": 256,
}  # fmt: skip


def refused(gateway: Gateway, post: Callable[[], Any], status: int, reason: str, field: str) -> dict[str, Any]:
    """The problem that a request meets, once it is sure that nothing has changed."""
    gateway.sync()
    before = gateway.everything()

    response = post()

    assert response.headers["content-type"] == "application/problem+json", response.text
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["reason"], problem["field"]) == (status, reason, field), problem
    assert problem.keys() >= PROBLEM_FIELDS
    assert problem["rule"]
    assert problem["status"] == status
    gateway.sync()
    assert before == gateway.everything()
    return problem


@dataclass(frozen=True)
class Case:
    """A signed order that differs from a good one in one way, and what it meets."""

    name: str
    changed: dict[str, Any]
    status: int
    reason: str
    field: str


REFUSED = (
    Case("expired", {"expires_at": 1}, 409, "OrderExpired", "order.expiresAt"),
    Case("no class", {"classes": 0}, 409, "ClassNotAccepted", "order.classes"),
    Case("a class that nobody knows", {"classes": 1 << 200}, 409, "ClassNotAccepted", "order.classes"),
    Case("price 0", {"max_price": 0}, 409, "PriceOutOfBounds", "order.maxPrice"),
    Case("no GPU", {"gpus": 0}, 409, "BadAmounts", "order.gpus"),
    Case("no second", {"max_seconds": 0}, 409, "BadAmounts", "order.maxSeconds"),
    Case("guaranteed longer than wanted", {"min_seconds": 601}, 409, "BadAmounts", "order.minSeconds"),
    Case("another opener", {"opener": STRANGER.address}, 409, "OpenerNotAllowed", "order.opener"),
    Case("a tip for nobody", {"tip": 1, "opener": ZERO_ADDRESS}, 409, "TipWithoutOpener", "order.opener"),
    Case("no arbiter", {"arbiter": ZERO_ADDRESS}, 409, "WrongArbiter", "order.arbiter"),
    Case("more bond than all", {"min_bond_bps": 10_001}, 409, "BondTooSmall", "order.minBondBps"),
    Case("a term lease that a scheduler is to open", {"starts_at": 2**40 - 2}, 409, "OpenerNotAllowed", "order.opener"),
    Case("a term lease that outlives its beginning", {"starts_at": 2**40 - 2, "opener": ZERO_ADDRESS}, 422, "InvalidField", "order.expiresAt"),
    Case("an offer that does not exist", {"offer": 2**40 - 1}, 409, "OfferNotAlive", "order.offer"),
    Case(
        "more than the client has", {"max_price": 2**80 - 1, "max_seconds": 2**31}, 402, "ClientBalanceTooLow", "order.client",
    ),
    Case("a spec that was never uploaded", {"spec": "0x" + "ab" * 32}, 409, "MissingBlob", "order.spec"),
    Case("a tip beyond the balance", {"tip": 10_000 * DOLLAR}, 402, "ClientBalanceTooLow", "order.client"),
)  # fmt: skip


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_an_order_is_refused_with_the_contracts_reason(gateway: Gateway, case: Case) -> None:
    """A well-formed, well-signed order that no scheduler could open."""
    signed = gateway.signed(**case.changed)

    refused(gateway, lambda: gateway.post_order(signed), case.status, case.reason, case.field)


def test_the_balance_must_cover_the_last_unit(gateway: Gateway) -> None:
    """Worst cost = balance passes, one unit more does not."""
    free = gateway.market.balance_of(CLIENT.address)
    fits = gateway.signed(max_seconds=3600, max_price=free)
    exceeds = gateway.signed(max_seconds=3600, max_price=free + 1)

    refused(gateway, lambda: gateway.post_order(exceeds), 402, "ClientBalanceTooLow", "order.client")
    assert gateway.post_order(fits).status_code == 201


@pytest.mark.parametrize(
    ("changed", "reason", "field", "status"),
    [
        ({"max_price": 1}, "PriceOutOfBounds", "order.maxPrice", 409),
        ({"classes": 1 << 2}, "ClassNotAccepted", "order.classes", 409),
        ({"arbiter": OPENER.address}, "WrongArbiter", "order.arbiter", 409),
        ({"arbiter": PROVIDER.address}, "WrongArbiter", "order.arbiter", 409),
        ({"min_bond_bps": 1_001}, "BondTooSmall", "order.minBondBps", 409),
        ({"gpus": 65}, "NotEnoughGpus", "order.gpus", 409),
    ],
    ids=str,
)  # fmt: skip
def test_a_pinned_offer_is_asked_as_the_contract_asks(
    gateway: Gateway, offer: Offer, changed: dict[str, Any], reason: str, field: str, status: int
) -> None:
    """What can never be filled on the one offer that may serve it is refused now."""
    signed = gateway.signed(offer=offer.id, **changed)

    refused(gateway, lambda: gateway.post_order(signed), status, reason, field)


def test_an_order_that_was_served_is_refused(gateway: Gateway, offer: Offer) -> None:
    """An order that reached the chain past this gateway, and is live there, is not for the book."""
    signed = gateway.signed()
    gateway.open(signed, offer)

    refused(gateway, lambda: gateway.post_order(signed), 409, "OrderLive", "order.salt")


SIGNATURES: dict[str, Callable[[Gateway], str]] = {
    "none": lambda gateway: "0x",
    "another account's": lambda gateway: OTHER_CLIENT.sign_order(gateway.order(), gateway.domain).signature,
    "of another order": lambda gateway: gateway.signed().signature,
    "64 bytes": lambda gateway: gateway.signed().signature[:-2],
    "66 bytes": lambda gateway: gateway.signed().signature + "00",
    "zeros": lambda gateway: "0x" + "00" * 65,
    "v of 0": lambda gateway: gateway.signed().signature[:-2] + "00",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_wrong_signature_is_refused(gateway: Gateway, name: str) -> None:
    """Whatever is not the client's own 65 bytes over this very order."""
    body = {**submission(gateway.signed()), "signature": SIGNATURES[name](gateway)}

    refused(gateway, lambda: gateway.http.post("/v1/orders", json=body), 409, "BadSignature", "signature")


def test_a_malleated_signature_is_refused(gateway: Gateway) -> None:
    """The other root of the curve signs as well, mathematically; the contract takes low s only."""
    signed = gateway.signed()
    r, s, v = signed.signature[2:66], int(signed.signature[66:130], 16), int(signed.signature[130:], 16)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    flipped = f"0x{r}{order - s:064x}{55 - v:02x}"
    body = {**submission(signed), "signature": flipped}

    refused(gateway, lambda: gateway.http.post("/v1/orders", json=body), 409, "BadSignature", "signature")


@pytest.mark.parametrize("elsewhere", ["chain", "market"])
def test_a_signature_for_elsewhere_is_refused(gateway: Gateway, elsewhere: str) -> None:
    """An order signed for another chain, or another market on this one, is another order."""
    domain = gateway.domain
    other = SigningDomain(1, domain.market) if elsewhere == "chain" else SigningDomain(domain.chain_id, OPENER.address)
    body = submission(CLIENT.sign_order(gateway.order(), other))

    refused(gateway, lambda: gateway.http.post("/v1/orders", json=body), 409, "BadSignature", "signature")


@pytest.mark.parametrize("field", FULL_ORDER_BITS)
def test_integers_keep_to_their_width(gateway: Gateway, field: str) -> None:
    """2^n, -1, floats, exponents, hex, bools, real JSON numbers and other scripts' digits are no integers of the ABI."""
    good = submission(gateway.signed())
    wrong: tuple[Any, ...] = (
        str(2 ** FULL_ORDER_BITS[field]), "-1", "1.0", "1e3", "0x1", "01", " 1", "1_0", "", "٣", "９", "9" * 79, "9" * 5000, "+1",
        1, 1.5, True, None, [], {},
    )  # fmt: skip
    before = gateway.everything()

    for value in wrong:
        body = {**good, "order": {**good["order"], field: value}}
        problem = gateway.http.post(
            "/v1/orders", content=json.dumps(body), headers={"Content-Type": "application/json"}
        )

        assert problem.status_code == 422, (field, value)
        is_no_json = isinstance(value, float)
        assert problem.json()["field"] == ("body" if is_no_json else f"order.{field}"), (field, value)
        assert problem.json()["rule"]
    assert before == gateway.everything()


@pytest.mark.parametrize("field", ["client", "opener", "acceptor", "arbiter", "spec"])
def test_addresses_and_words_are_hex_of_their_length(gateway: Gateway, field: str) -> None:
    """Anything but 0x and exactly their number of hex digits is refused."""
    good = submission(gateway.signed())
    before = gateway.everything()

    for value in (
        "",
        "0x",
        "0x12",
        "12" * 20,
        "0x" + "g" * 40,
        "0x" + "1" * 41,
        5,
        None,
        True,
        ["0x"],
        "0x" + "1" * 63,
        "\u212a" * 42,
    ):
        body = {**good, "order": {**good["order"], field: value}}
        problem = gateway.http.post("/v1/orders", json=body)

        assert (problem.status_code, problem.json()["field"]) == (422, f"order.{field}"), (field, value)
    assert before == gateway.everything()


@pytest.mark.parametrize("field", ["client", "classes", "salt", "spec"])
def test_no_field_may_be_missing(gateway: Gateway, field: str) -> None:
    """Defaults are for whoever signs, not for whoever reads."""
    body = submission(gateway.signed())
    del body["order"][field]

    refused(gateway, lambda: gateway.http.post("/v1/orders", json=body), 422, "InvalidField", f"order.{field}")


def test_no_field_may_be_more(gateway: Gateway) -> None:
    """A field that nothing obeys would mislead whoever sent it: in the order, and beside it."""
    inside, beside = submission(gateway.signed()), submission(gateway.signed())
    inside["order"]["priority"] = "1"
    beside["owner"] = OTHER_CLIENT.address

    refused(gateway, lambda: gateway.http.post("/v1/orders", json=inside), 422, "InvalidField", "order.priority")
    refused(gateway, lambda: gateway.http.post("/v1/orders", json=beside), 422, "InvalidField", "owner")


RAW_BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "body"),
    "not JSON": (b"{", "body"),
    "two values": (b"{}{}", "body"),
    "a list": (b"[]", "body"),
    "a string": (b'"order"', "body"),
    "null": (b"null", "body"),
    "NaN": (b'{"order": NaN}', "body"),
    "Infinity": (b'{"order": -Infinity}', "body"),
    "a float": (b'{"order": 1.5}', "body"),
    "a float beyond floats": (b'{"order": 1e400}', "body"),
    "a million digits": (b'{"order": ' + b"9" * 900_000 + b"}", "body"),
    "the same key twice": (b'{"order": {}, "order": {}}', "body"),
    "the same key twice, inside": (b'{"order": {"gpus": "1", "gpus": "2"}}', "body"),
    "ten thousand brackets": (b'{"order": ' + b"[" * 10_000 + b"]" * 10_000 + b"}", "body"),
    "five hundred thousand brackets": (b"[" * 500_000, "body"),
    "a lone surrogate": (b'{"order": "\\ud800"}', "body.order"),
    "a lone surrogate for a key": (b'{"\\udfff": 1}', "body"),
    "NUL": (b'{"order": "\\u0000"}', "body.order"),
    "Latin-1": (b'{"order": "\xe9"}', "body"),
    "UTF-16": ('{"order": {}}'.encode("utf-16"), "body"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "body"),
    "a comment": (b'{"order": {}, /* */ "signature": "0x"}', "body"),
    "an order that is a list": (b'{"order": [], "signature": "0x"}', "order"),
    "an order that is null": (b'{"order": null, "signature": "0x"}', "order"),
    "no signature": (b'{"order": {}}', "signature"),
    "nothing": (b"{}", "order"),
}


def test_a_good_order_with_a_field_twice_is_refused(gateway: Gateway) -> None:
    """Also where both say the same: what reads orders quickly does not read more of them."""
    content = json.dumps(submission(gateway.signed())).replace('"gpus":', '"gpus": "1", "gpus":').encode()
    headers = {"Content-Type": "application/json"}

    refused(
        gateway, lambda: gateway.http.post("/v1/orders", content=content, headers=headers), 422, "InvalidField", "body"
    )


@pytest.mark.parametrize("name", RAW_BODIES)
def test_a_body_that_is_no_order_is_refused(gateway: Gateway, name: str) -> None:
    """Malformed, hostile or merely odd JSON never gets further than the reader."""
    content, field = RAW_BODIES[name]
    headers = {"Content-Type": "application/json"}

    def post() -> Any:
        return gateway.http.post("/v1/orders", content=content, headers=headers)

    problem = refused(gateway, post, 422, "InvalidField", field)

    assert len(json.dumps(problem)) < 3_000


def test_sixteen_levels_are_enough(gateway: Gateway) -> None:
    """Depth is bounded long before anything could overflow."""
    headers = {"Content-Type": "application/json"}
    for levels, field in ((20, "body" + ".a" * 17), (40, "body"), (5_000, "body")):
        content = '{"a":' * levels + "1" + "}" * levels

        refused(
            gateway, lambda content=content: gateway.http.post("/v1/orders", content=content, headers=headers),  # type: ignore[misc]
            422, "InvalidField", field,
        )  # fmt: skip


def test_a_body_beyond_the_limit_is_refused(gateway: Gateway) -> None:
    """Whether its length is promised or counted: one byte more than a mebibyte."""
    content = b" " * ((1 << 20) + 1)
    headers = {"Content-Type": "application/json"}

    def chunks() -> Any:
        yield from (content[:600_000], content[600_000:])

    for body in (content, chunks()):
        refused(
            gateway, lambda body=body: gateway.http.post("/v1/orders", content=body, headers=headers),  # type: ignore[misc]
            413, "BodyTooLarge", "body",
        )  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
)
def test_only_json_is_json(gateway: Gateway, kind: str) -> None:
    """A form that a browser sends by itself is not a request of ours."""
    content = json.dumps(submission(gateway.signed())).encode()
    headers = {"Content-Type": kind} if kind else {}

    def post() -> Any:
        return gateway.http.post("/v1/orders", content=content, headers=headers)

    refused(gateway, post, 415, "UnsupportedMediaType", "Content-Type")


def test_compressed_bodies_are_refused(gateway: Gateway) -> None:
    """A bomb cannot go off where nothing is unpacked."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    def post() -> Any:
        return gateway.http.post("/v1/orders", content=b"\x1f\x8b\x08", headers=headers)

    refused(gateway, post, 415, "UnsupportedMediaType", "Content-Encoding")


def test_utf8_may_be_said(gateway: Gateway) -> None:
    """A parameter of the content type is no other content type."""
    content = json.dumps(submission(gateway.signed())).encode()

    told = gateway.http.post("/v1/orders", content=content, headers={"Content-Type": "Application/JSON; charset=utf-8"})

    assert told.status_code == 201


def _spec(**changed: Any) -> bytes:
    document = json.loads(JobSpec(WORK).canonical())
    return canonical_json({**document, **changed})


def _work(**changed: Any) -> bytes:
    document = json.loads(SOME_WORK.canonical())
    return canonical_json({**document, **changed})


INPUT = {"path": "/job/in", "parts": [sha256_of(BUNDLE)], "bytes": len(BUNDLE)}

NODE = {"id": "ab" * 32, "size": 2, "rank": 0}

SPECS: dict[str, tuple[bytes, str]] = {
    "a checkpoint outside": (_spec(checkpoint="/root"), "spec.checkpoint"),
    "an image without digest": (_spec(image="docker.io/busybox:latest"), "spec.image"),
    "a privileged image": (_spec(image="--privileged"), "spec.image"),
    "a network of its own": (_spec(network="host"), "spec.network"),
    "more CPUs than there are": (_spec(resources={"gpus": 1, "cpus": 10**9}), "spec.resources.cpus"),
    "true for a number": (_spec(resources={"gpus": True}), "spec.resources.gpus"),
    "a network that leads nowhere": (_spec(network="egress"), "spec.egress"),
    "a list without a network": (_spec(egress=["a.example:443"]), "spec.egress"),
    "a list of everything": (_spec(network="egress", egress=["*:443"], resources={"egress_mib": 1}), "spec.egress[0]"),
    "an image without its registry": (_spec(image="a/b@sha256:" + "0" * 64), "spec.image"),
    "a checkpoint that nobody keeps": (_spec(checkpoint="/job/checkpoint"), "spec.checkpoint"),
    "other GPUs than the order": (_spec(resources={"gpus": 2}), "spec.resources.gpus"),
    "an unknown field": (_spec(privileged=True), "spec.privileged"),
    "a rank beyond the group": (_spec(group=NODE | {"rank": 2}), "spec.group.rank"),
    "a group of one": (_spec(group=NODE | {"size": 1}), "spec.group.size"),
    "a group without a proper id": (_spec(group=NODE | {"id": "my-group"}), "spec.group.id"),
    "an unknown version": (_spec(version=1), "spec.version"),
    "not canonical": (b" " + _spec(), "spec"),
    "a float": (_spec().replace(b'"version":2', b'"version":2.0'), "spec"),
    "the same key twice": (b'{"version":1,"version":1}', "spec"),
    "not JSON": (b"\xff\xfe", "spec"),
    "too large": (b"x" * 70_000, "order.spec"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_bad_spec_is_refused(gateway: Gateway, name: str) -> None:
    """The spec is read before the order is taken: no provider has to find out."""
    content, field = SPECS[name]
    gateway.spec()  # the input is here
    gateway.keep(content, public=True)
    signed = gateway.signed(spec=bytes32_of(sha256_of(content)))

    refused(gateway, lambda: gateway.post_order(signed), 422, "InvalidField", field)


@pytest.mark.parametrize(
    ("more", "field"), [({"memory_mib": 65_537}, "spec.resources.memory_mib"), ({"cpus": 17}, "spec.resources.cpus")]
)
def test_more_than_any_machine_has_is_refused(gateway: Gateway, offer: Offer, more: dict[str, int], field: str) -> None:
    """Nobody could serve it: the sentence says how much the largest machine on offer has. As much as that is taken."""
    most = gateway.spec(resources=Resources(cpus=16, memory_mib=65_536))
    beyond = gateway.spec(resources=replace(most.resources, **more))

    small, large = (gateway.signed(spec=bytes32_of(spec.sha256)) for spec in (most, beyond))

    refused(gateway, lambda: gateway.post_order(large), 422, "InvalidField", field)
    assert gateway.post_order(small).status_code == 201


WORKS: dict[str, tuple[bytes, str]] = {
    "an input's path with ..": (_work(inputs=[{**INPUT, "path": "/job/in/../../etc"}]), "work.inputs[0].path"),
    "an input outside /job": (_work(inputs=[{**INPUT, "path": "/etc/passwd"}]), "work.inputs[0].path"),
    "a relative input": (_work(inputs=[{**INPUT, "path": "in"}]), "work.inputs[0].path"),
    "an output's path with ..": (_work(outputs=["/job/out/../.."]), "work.outputs"),
    "an output with a newline": (_work(outputs=["/job/out\n"]), "work.outputs"),
    "no command": (_work(command=[]), "work.command"),
    "NUL in the command": (_work(command=["sh\0"]), "work.command"),
    "a bad name in env": (_work(env={"A=B": "c"}), "work.env.A=B"),
    "an input of another size": (_work(inputs=[{**INPUT, "bytes": 16}]), "work.inputs[0].bytes"),
    "a part too few": (_work(inputs=[{**INPUT, "bytes": (64 << 20) + 1}]), "work.inputs[0].parts"),
    "an output within another": (_work(outputs=["/job/out", "/job/out/a"]), "work.outputs"),
    "a short salt": (_work(salt="ab"), "work.salt"),
    "an unknown field": (_work(stdin="x"), "work.stdin"),
}


@pytest.mark.parametrize("name", WORKS)
def test_bad_work_is_refused(gateway: Gateway, name: str) -> None:
    """The work is read, too, before the order is taken."""
    content, field = WORKS[name]
    gateway.spec()  # the input is here
    gateway.keep(content)
    signed = gateway.signed(spec=bytes32_of(gateway.spec(work=work_name(content)).sha256))

    refused(gateway, lambda: gateway.post_order(signed), 422, "InvalidField", field)


def test_missing_work_is_named(gateway: Gateway) -> None:
    """A spec without its work is nothing that anybody could run; one that lies about its size is refused as well."""
    content = _work(salt="0f" * 32)
    signed = gateway.signed(spec=bytes32_of(gateway.spec(work=work_name(content)).sha256))
    refused(gateway, lambda: gateway.post_order(signed), 409, "MissingBlob", "spec.work")

    gateway.keep(content)
    wrong = replace(work_name(content), bytes=len(content) + 1)
    signed = gateway.signed(spec=bytes32_of(gateway.spec(work=wrong).sha256))
    refused(gateway, lambda: gateway.post_order(signed), 422, "InvalidField", "spec.work.bytes")


def test_a_missing_input_is_named(gateway: Gateway) -> None:
    """Which of the inputs has to be uploaded first."""
    absent = Input("/job/in/x", 14, (sha256_of(b"never uploaded"),))
    work = gateway.work(inputs=(Input("/job/in", len(BUNDLE), (sha256_of(BUNDLE),)), absent))
    spec = gateway.spec(work=work.name)
    signed = gateway.signed(spec=bytes32_of(spec.sha256))

    refused(gateway, lambda: gateway.post_order(signed), 409, "MissingBlob", "work.inputs[1].parts[0]")


def test_a_changed_order_is_another_order(gateway: Gateway) -> None:
    """Each field is under the signature: change any, and it is wrong."""
    signed = gateway.signed()
    changes: dict[str, Any] = {
        "client": OTHER_CLIENT.address, "classes": 2, "gpus": 2, "max_seconds": 601, "min_seconds": 1, "max_price": 1, "tip": 1,
        "min_bond_bps": 1, "expires_at": 2**40 - 2, "opener": ZERO_ADDRESS, "acceptor": STRANGER.address, "salt": 2**255,
    }  # fmt: skip
    del changes["classes"]  # the good order's own
    before = gateway.everything()

    for field, value in changes.items():
        body = submission(replace(signed, order=replace(signed.order, **{field: value})))
        problem = gateway.http.post("/v1/orders", json=body)

        assert (problem.status_code, problem.json()["reason"]) == (409, "BadSignature"), field
    assert before == gateway.everything()


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "caf\u00e9"])
def test_a_malformed_idempotency_key_is_refused(gateway: Gateway, key: str) -> None:
    """1 to 128 visible ASCII characters."""
    signed = gateway.signed()

    def post() -> Any:
        headers = {b"Idempotency-Key": key.encode("latin-1"), b"Content-Type": b"application/json"}
        return gateway.http.post("/v1/orders", content=json.dumps(submission(signed)), headers=headers)  # type: ignore[arg-type]

    refused(gateway, post, 422, "InvalidField", "Idempotency-Key")


QUOTES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown class": ({"gpu": "RTX9999", "maxSeconds": 1}, "gpu"),
    "no class": ({"gpu": [], "maxSeconds": 1}, "gpu"),
    "a number for a class": ({"gpu": 1, "maxSeconds": 1}, "gpu"),
    "no time": ({"gpu": "RTX4090"}, "maxSeconds"),
    "time as text": ({"gpu": "RTX4090", "maxSeconds": "60"}, "maxSeconds"),
    "true for time": ({"gpu": "RTX4090", "maxSeconds": True}, "maxSeconds"),
    "2^32 seconds": ({"gpu": "RTX4090", "maxSeconds": 2**32}, "maxSeconds"),
    "no GPUs": ({"gpu": "RTX4090", "maxSeconds": 1, "gpus": 0}, "gpus"),
    "negative GPUs": ({"gpu": "RTX4090", "maxSeconds": 1, "gpus": -1}, "gpus"),
    "price 2^80": ({"gpu": "RTX4090", "maxSeconds": 1, "maxPrice": str(2**80)}, "maxPrice"),
    "a price as a number": ({"gpu": "RTX4090", "maxSeconds": 1, "maxPrice": 5}, "maxPrice"),
    "a spec that is no hash": ({"gpu": "RTX4090", "maxSeconds": 1, "spec": "x"}, "spec"),
    "a region as text": ({"gpu": "RTX4090", "maxSeconds": 1, "preferRegions": "eu"}, "preferRegions"),
    "no name of a region": ({"gpu": "RTX4090", "maxSeconds": 1, "preferRegions": ["EU!"]}, "preferRegions[0]"),
    "more than reliable": ({"gpu": "RTX4090", "maxSeconds": 1, "minReliabilityBps": 10_001}, "minReliabilityBps"),
    "reliability as text": ({"gpu": "RTX4090", "maxSeconds": 1, "minReliabilityBps": "1"}, "minReliabilityBps"),
    "an unknown field": ({"gpu": "RTX4090", "maxSeconds": 1, "color": "red"}, "color"),
    "an order and more": ({"order": {}, "gpu": "RTX4090"}, "gpu"),
}


def test_a_price_of_nothing_is_refused_in_a_quote_as_in_an_order(gateway: Gateway) -> None:
    """It is well written, and no market has it: the contract's own reason, and no fault of the form."""
    asked = {"gpu": "RTX4090", "maxSeconds": 1, "maxPrice": "0"}

    refused(gateway, lambda: gateway.http.post("/v1/quotes", json=asked), 409, "PriceOutOfBounds", "maxPrice")


@pytest.mark.parametrize("name", QUOTES)
def test_a_bad_question_gets_no_quote(gateway: Gateway, name: str) -> None:
    """A quote names what is wrong with the question, too."""
    asked, field = QUOTES[name]

    refused(gateway, lambda: gateway.http.post("/v1/quotes", json=asked), 422, "InvalidField", field)
