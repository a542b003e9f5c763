"""What schemathesis cannot know of the market: who signs, and what there is. Run where nothing of this package is installed.

Cases that are meant to be good are signed by a party, and two in three of them ask about things that there are; new orders are signed,
and files are sent under their own names. What is meant to be wrong is signed as it is.
"""

import hashlib
import json
import os
import time
import zlib

import requests
import schemathesis
from eth_account import Account
from eth_account.messages import encode_defunct

STAGE = json.loads(os.environ["BOURSE_STAGE"])
KEYS = {role: Account.from_key(key) for role, key in STAGE["keys"].items()}
PROVIDERS = (
    "POST /v1/heartbeats", "POST /v1/images", "POST /v1/measurements", "POST /v1/leases/{lease_id}/gpus", "POST /v1/leases/{lease_id}/logs",
    "POST /v1/leases/{lease_id}/usage",     "POST /v1/leases/{lease_id}/receipts",
)  # fmt: skip
SIGNATURE = "Bourse-Signature"
ORDER = (
    "address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,uint16 minBondBps,"
    "uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,bytes32 spec,uint256 salt"
)
RECEIPT = "bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last"
ZERO = "0x" + "0" * 40
CLOCK_SECONDS = 20


class Clock:
    """Block time, asked of the gateway now and then."""

    def __init__(self):
        self._asked, self._at = 0.0, 0

    def now(self):
        if time.monotonic() - self._asked > CLOCK_SECONDS or not self._at:
            self._at = requests.get(STAGE["url"] + "/v1/market", timeout=10).json()["block"]["timestamp"]
            self._asked = time.monotonic()
        return self._at


CLOCK = Clock()


@schemathesis.auth(refresh_interval=None)
class Party:
    """Whoever may: the provider where a provider writes, else the client."""

    def get(self, case, _):
        return KEYS["provider" if case.operation.label in PROVIDERS else "client"]

    def set(self, case, key, _):
        if case.meta.generation.mode.is_positive:
            make_real(case)
        if any(parameter.name == SIGNATURE for parameter in case.operation.iter_parameters()):
            case.headers.update(headers_of(case, key))


def make_real(case):
    """Ask about something that there is, two times in three; what is asked stays the same from run to run."""
    label = case.operation.label
    turn = zlib.crc32(repr((label, case.path_parameters, case.query, case.body)).encode())
    if label == "PUT /v1/blobs/{name}":
        case.body = case.body if isinstance(case.body, bytes) else str(case.body or "").encode()
        case.path_parameters["name"] = hashlib.sha256(case.body).hexdigest()
    elif turn % 3:
        for name, known in STAGE["known"].items():
            if name in case.path_parameters:
                case.path_parameters[name] = known[turn % len(known)]
    if isinstance(case.body, dict):
        make_whole(case, turn)
    if "Idempotency-Key" in case.headers:  # one that was used before, with another request, is refused
        case.headers["Idempotency-Key"] = f"{turn}"
    if (
        label in STAGE["streams"]
    ):  # whatever is behind the first event is waited for, and of a narrow stream none may come but heads
        case.query = {**case.query, **STAGE["streams"][label]}
        case.headers.pop("Last-Event-ID", None)


def make_whole(case, turn):
    """What no schema says: a signature fits its document, the document fits the path, and no GPU is named twice."""
    if "lease" in case.body:
        case.body["lease"] = case.path_parameters["lease_id"]
    match case.operation.label:
        case "POST /v1/orders" if turn % 3:
            case.body = signed("Order", ORDER, "order", fitting_order(case.body["order"]), "client")
        case "POST /v1/leases/{lease_id}/receipts":
            receipt = case.body["receipt"] | STAGE["serving"]
            case.body = signed("Receipt", RECEIPT, "receipt", receipt, "provider") | {"role": "provider"}
        case "POST /v1/measurements":
            for number, gpu in enumerate(case.body["measurement"]["gpus"]):
                gpu["uuid"] = f"GPU-{number}"


def fitting_order(drawn):
    """What was drawn, as far as this market has room for it."""
    return drawn | {
        "client": KEYS["client"].address.lower(), "classes": "2", "offer": "0", "gpus": "1", "maxSeconds": str(int(drawn["maxSeconds"]) % 600 + 1),
        "minSeconds": "0", "maxPrice": str(int(drawn["maxPrice"]) % 3_000_000 + 1), "minBondBps": "0", "startsAt": "0",
        "expiresAt": str(CLOCK.now() + 3_600 + int(drawn["expiresAt"]) % 3_600), "tip": "0", "opener": STAGE["opener"],
        "acceptor": ZERO, "arbiter": STAGE["arbiter"], "spec": STAGE["spec"], "salt": str(int(drawn["salt"]) % 2**256),
    }  # fmt: skip


def signed(name, fields, member, message, role):
    """A document with the EIP-712 signature of one who may."""
    kinds = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields.split(",")]
    values = {
        kind["name"]: int(message[kind["name"]]) if kind["type"].startswith("uint") else message[kind["name"]]
        for kind in kinds
    }
    domain = {
        "name": "ComputeMarket",
        "version": "1",
        "chainId": STAGE["chainId"],
        "verifyingContract": STAGE["market"],
    }
    signature = KEYS[role].sign_typed_data(domain, {name: kinds}, values).signature.to_0x_hex()
    return {member: message, "signature": signature}


def headers_of(case, key):
    """The three headers, over what will be sent."""
    sent = requests.Request(**{
        name: value for name, value in case.as_transport_kwargs(base_url=STAGE["url"]).items()
        if name in ("method", "url", "params", "json", "data", "headers", "files")
    }).prepare()  # fmt: skip
    body = sent.body if isinstance(sent.body, bytes) else (sent.body or "").encode()
    at = CLOCK.now()
    text = (
        f"Compute Bourse request\n\n{sent.method} {sent.path_url}\nBody sha256: {hashlib.sha256(body).hexdigest()}\n"
        f"Block time: {at}\nChain id: {STAGE['chainId']}\nMarket: {STAGE['market']}"
    )
    signature = key.sign_message(encode_defunct(text=text)).signature.to_0x_hex()
    return {"Bourse-Account": key.address.lower(), "Bourse-Time": str(at), SIGNATURE: signature}
