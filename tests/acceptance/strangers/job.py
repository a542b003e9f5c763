"""A whole job by a client that `openapi-python-client` made, and eth-account: run where nothing of this package is installed.

What it is told comes on standard input as JSON: gateway, key, and what is to go into the job. What came of it goes to standard output.
"""

import hashlib
import io
import json
import secrets
import sys
import tarfile
import threading

from eth_account import Account
from eth_account.messages import encode_defunct
from gateway_client import Client
from gateway_client.api.blobs import get_lease_blob, put_blob
from gateway_client.api.leases import get_lease, get_outputs, list_receipts, post_receipt
from gateway_client.api.market import get_market, list_classes
from gateway_client.api.orders import post_order
from gateway_client.api.streams import get_log
from gateway_client.models import GetLogFollow, OrderDocumentAsked, OrderSubmission, PutBlobPublic, ReceiptSubmission
from gateway_client.types import File

ZERO = "0x" + "0" * 40
TURNS, TURN_SECONDS = 600, 0.2
ORDER = (
    "address client,uint256 classes,uint40 offer,uint16 gpus,uint32 maxSeconds,uint32 minSeconds,uint80 maxPrice,uint16 minBondBps,"
    "uint40 startsAt,uint40 expiresAt,uint96 tip,address opener,address acceptor,address arbiter,bytes32 spec,uint256 salt"
)
RECEIPT = "bytes32 lease,uint40 offer,uint40 openedAt,uint32 usedSeconds,bytes32 result,bool last"

told = json.load(sys.stdin)
account = Account.from_key(told["key"])
me = account.address.lower()
client = Client(told["gateway"], raise_on_unexpected_status=True)
market = get_market.sync(client=client)


def canonical(document):
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def name_of(content):
    return hashlib.sha256(content).hexdigest()


def signed(method, path, body=b""):
    """The three headers, as the generated functions take them."""
    at = get_market.sync(client=client).block.timestamp
    text = (
        f"Compute Bourse request\n\n{method} {path}\nBody sha256: {name_of(body)}\nBlock time: {at}\n"
        f"Chain id: {market.chain_id}\nMarket: {market.market}"
    )
    signature = account.sign_message(encode_defunct(text=text)).signature.to_0x_hex()
    return {"bourse_account": me, "bourse_time": str(at), "bourse_signature": signature}


def typed(name, fields, message):
    """The EIP-712 signature of a document in which integers are decimal strings."""
    kinds = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in fields.split(",")]
    values = {
        kind["name"]: int(message[kind["name"]]) if kind["type"].startswith("uint") else message[kind["name"]]
        for kind in kinds
    }
    domain = {"name": "ComputeMarket", "version": "1", "chainId": market.chain_id, "verifyingContract": market.market}
    return account.sign_typed_data(domain, {name: kinds}, values).signature.to_0x_hex()


def upload(content, public="false"):
    name = name_of(content)
    headers = signed("PUT", f"/v1/blobs/{name}?public={public}", content)
    answer = put_blob.sync_detailed(
        name, client=client, body=File(io.BytesIO(content)), public=PutBlobPublic(public), **headers
    )
    assert answer.status_code in (200, 201), answer.content
    return name


def eventually(look):
    for _ in range(TURNS):
        if found := look():
            return found
        threading.Event().wait(TURN_SECONDS)
    raise SystemExit("nothing came in time")


def bundle(name, content):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def last_receipt(order):
    told = list_receipts.sync(order, client=client)
    found = [one.receipt for one in getattr(told, "receipts", []) if one.role == "provider" and one.receipt.last]
    return found[0] if found else None


inputs = bundle("words.txt", told["words"].encode())
work = canonical({
    "version": 1, "salt": secrets.token_hex(32), "command": told["command"],
    "inputs": [{"path": "/job/in", "bytes": len(inputs), "parts": [upload(inputs)]}],
})  # fmt: skip
spec = canonical({"version": 2, "image": "host", "work": {"sha256": upload(work), "bytes": len(work)}})
number = next(one.class_ for one in list_classes.sync(client=client).items if one.name == told["gpu"])
order = {
    "client": me, "classes": str(1 << number), "offer": "0", "gpus": "1", "maxSeconds": "60", "minSeconds": "0", "maxPrice": "400000",
    "minBondBps": "0", "startsAt": "0", "expiresAt": str(market.block.timestamp + 3600), "tip": "0", "opener": market.opener,
    "acceptor": ZERO, "arbiter": market.arbiter, "spec": "0x" + upload(spec, "true"), "salt": str(secrets.randbits(256)),
}  # fmt: skip
submission = OrderSubmission(OrderDocumentAsked.from_dict(order), typed("Order", ORDER, order))
taken = post_order.sync(client=client, body=submission)
lease = taken.id

receipt = eventually(lambda: last_receipt(lease))
log = get_log.sync(
    lease, client=client, offset="0", follow=GetLogFollow.FALSE, **signed("GET", f"/v1/leases/{lease}/logs?offset=0&follow=false")
)  # fmt: skip
outputs = get_outputs.sync(lease, client=client, **signed("GET", f"/v1/leases/{lease}/outputs"))
assert receipt.result == "0x" + outputs.result_sha_256 == "0x" + name_of(canonical(outputs.result.to_dict()))
(output,) = outputs.result.outputs
parts = [
    get_lease_blob.sync(lease, name, client=client, **signed("GET", f"/v1/leases/{lease}/blobs/{name}"))
    for name in output.parts
]
content = b"".join(part.payload.read() for part in parts)
with tarfile.open(fileobj=io.BytesIO(content)) as tar:
    files = {entry.name: tar.extractfile(entry).read().decode() for entry in tar if entry.isfile()}
mine = {"receipt": receipt.to_dict(), "role": "client", "signature": typed("Receipt", RECEIPT, receipt.to_dict())}
body = ReceiptSubmission.from_dict(mine)
sent = client.get_httpx_client().build_request("POST", "/", json=body.to_dict()).content
left = post_receipt.sync_detailed(
    lease, client=client, body=body, **signed("POST", f"/v1/leases/{lease}/receipts", sent)
)
assert left.status_code == 201, left.content
closed = eventually(lambda: one if (one := get_lease.sync(lease, client=client)).status == "Closed" else None)
json.dump(
    {"order": lease, "log": log, "files": files, "paid": closed.paid, "exit_code": outputs.result.exit_code}, sys.stdout
)
