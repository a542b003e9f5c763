"""Whatever a node answers is a typed case: one test for each kind of answer, through a server that gives it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from eth_abi.abi import encode

from marketplace.chain import transports
from marketplace.chain.blocks import Chain
from marketplace.chain.contracts import contract_abi
from marketplace.chain.devnet import LOCAL_CHAIN_ID, AnvilHandle, mine
from marketplace.chain.headers import standard_hash
from marketplace.domain.chain_errors import (
    AnswerTooLarge,
    ChainError,
    ChainUnavailable,
    NodeRefused,
    RateLimited,
    TransactionReverted,
)
from marketplace.domain.ids import Address
from tests.integration.chain.tampering import Reply, Tamperer, saying, tampering

NOWHERE = "0x" + "77" * 32
PAGE = b"<html><body>502 Bad Gateway</body></html>"

Said = Callable[[Any], Reply]


@pytest.fixture
def liar(anvil: AnvilHandle) -> Iterator[Tamperer]:
    with tampering(anvil.rpc_url) as server:
        yield server


@pytest.fixture
def lied_to(liar: Tamperer) -> Iterator[Chain]:
    chain = Chain([liar.url], timeout_seconds=20)
    yield chain
    chain.close()


def result(value: Any) -> Said:
    return lambda asked: saying({"jsonrpc": "2.0", "id": asked["id"], "result": value})


def error(code: Any, message: str, content: Any = None, **how: Any) -> Said:
    told = {"code": code, "message": message} | ({} if content is None else {"data": content})
    return lambda asked: saying({"jsonrpc": "2.0", "id": asked["id"], "error": told}, **how)


NO_ANSWERS: dict[str, Said] = {
    "a proxy's page": lambda _: Reply(PAGE, 502),
    "a page that says that all is well": lambda _: Reply(PAGE),
    "an unknown path": lambda _: Reply(b"not found", 404),
    "no key": lambda _: saying({"message": "unauthorized"}, status=401),
    "a redirection": lambda _: Reply(b"", 307, {"Location": "http://127.0.0.1:9/"}),
    "JSON that ends early": lambda asked: Reply(json.dumps({"id": asked["id"], "result": "0x1"}).encode()[:-4]),
    "fewer bytes than promised": lambda asked: saying({"id": asked["id"], "result": "0x1"}, is_cut=True),
    "nothing": lambda _: Reply(b""),
    "no object": lambda _: saying("0x1"),
    "a list": lambda asked: saying([{"id": asked["id"], "result": "0x1"}]),
    "brackets without end": lambda _: Reply(b"[" * 200_000),
    "a number of a million digits": lambda _: Reply(b'{"id": 1, "result": ' + b"9" * 1_000_000 + b"}"),
    "another question's answer": lambda asked: saying({"id": asked["id"] + 1, "result": "0x1"}),
    "an answer to nobody": lambda _: saying({"id": None, "result": "0x1"}),
    "true for an id": lambda _: saying({"id": True, "result": "0x1"}),
    "no result": lambda asked: saying({"id": asked["id"]}),
    "null": result(None),
    "a number": result(1),
    "an object": result({}),
    "a text that is no quantity": result("0x"),
    "a text that Python alone would read": result("0x1_0"),
    "an error that is a text": lambda asked: saying({"id": asked["id"], "error": "upstream connect error"}),
    "an error that says nothing": lambda asked: saying({"id": asked["id"], "error": {}}),
    "an error of a lagging backend": error(-32000, "header not found"),
}


@pytest.mark.parametrize("kind", NO_ANSWERS)
def test_what_is_no_answer_is_chain_unavailable(liar: Tamperer, lied_to: Chain, kind: str) -> None:
    """It may be one the next time, and the next time it is."""
    liar.tamper = NO_ANSWERS[kind]
    with pytest.raises(ChainUnavailable) as raised:
        lied_to.rpc("eth_chainId")
    liar.tamper = lambda _: None

    assert type(raised.value) is ChainUnavailable
    assert int(lied_to.rpc("eth_chainId"), 16) == LOCAL_CHAIN_ID


LIMITS: dict[str, tuple[Said, float]] = {
    "HTTP 429": (lambda _: Reply(PAGE, 429), 1),
    "seconds to wait": (lambda _: Reply(b"", 429, {"Retry-After": "7"}), 7),
    "a day to wait": (lambda _: Reply(b"", 429, {"Retry-After": "86400"}), 60),
    "no number to wait": (lambda _: Reply(b"", 429, {"Retry-After": "nan"}), 60),
    "a negative time to wait": (lambda _: Reply(b"", 429, {"Retry-After": "-5"}), 0.1),
    "words to wait": (lambda _: Reply(b"", 429, {"Retry-After": "soon"}), 1),
    "a date to wait for": (
        lambda _: Reply(b"", 429, {"Date": "Wed, 21 Oct 2015 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2015 07:28:12 GMT"}),
        12,
    ),
    "-32005": (error(-32005, "limit exceeded"), 1),
    "-32005 with advice": (error(-32005, "daily request count exceeded", {"rate": {"backoff_seconds": 30}}), 30),
    "rate limit": (error(-32000, "rate limit reached"), 1),
    "too many requests": (error(-32090, "Too many requests, reason: call rate limit exhausted", status=503), 1),
    "compute units": (error(429, "Your app has exceeded its compute units per second capacity"), 1),
    "request rate": (error(-32603, "project ID request rate exceeded"), 1),
    "a text": (lambda asked: saying({"id": asked["id"], "error": "429 Too Many Requests"}), 1),
}  # fmt: skip


@pytest.mark.parametrize("kind", LIMITS)
def test_a_limit_on_requests_says_how_long_to_wait(liar: Tamperer, lied_to: Chain, kind: str) -> None:
    """By HTTP status, JSON-RPC code or the words of those who sell nodes; never more than a minute."""
    said, seconds = LIMITS[kind]
    liar.tamper = said

    with pytest.raises(RateLimited) as raised:
        lied_to.rpc("eth_chainId")
    assert raised.value.retry_after_seconds == seconds
    assert raised.value.retryable


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32603, "internal error"),
        (-32601, "the method eth_maxPriorityFeePerGas does not exist"),
        (-32000, "nonce too low"),
        ("?", "x"),
        (-32601, "not here, and with a status of its own"),
    ],
)
def test_a_refusal_is_the_nodes_own(liar: Tamperer, lied_to: Chain, code: Any, message: str) -> None:
    """Its words and its code come along, whatever the HTTP status."""
    liar.tamper = error(code, message, status=400 if "status" in message else 200)

    with pytest.raises(NodeRefused) as raised:
        lied_to.rpc("eth_chainId")
    assert raised.value.message == message
    assert raised.value.code == (code if isinstance(code, int) else 0)


@pytest.mark.parametrize(
    "message", ["query returned more than 10000 results", "eth_getLogs is limited to a 500 block range"]
)
def test_too_many_logs_are_no_limit_on_requests(liar: Tamperer, lied_to: Chain, message: str) -> None:
    """Waiting would not help, so -32005 with these words is a refusal: whoever asked can ask for fewer blocks."""
    liar.tamper = error(-32005, message)

    with pytest.raises(NodeRefused):
        lied_to.rpc("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})


def test_a_contracts_words_are_not_the_nodes(liar: Tamperer, lied_to: Chain) -> None:
    """A revert is one, whatever its reason says, and however mangled what comes with it."""
    for code, message, content in (
        (3, "execution reverted: rate limit", "0x"),
        (-32000, "execution reverted: too many requests", "0xzz"),
        (3, "x", None),
        (-32000, "VM exception", "0x12345678"),
    ):
        liar.tamper = error(code, message, content)
        with pytest.raises(TransactionReverted):
            lied_to.rpc("eth_call", {}, "latest")


@pytest.mark.parametrize("method", ["eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_chainId"])
def test_what_runs_no_code_reverts_nothing(liar: Tamperer, lied_to: Chain, method: str) -> None:
    """A node that says so refuses: nothing is known of what the contract would say."""
    for content in (None, "0x08c379a0", "0x"):
        liar.tamper = error(3, "execution reverted", content)
        with pytest.raises(NodeRefused):
            lied_to.rpc(method, "0x00")


def test_a_nodes_words_are_short_and_print(liar: Tamperer, lied_to: Chain) -> None:
    """Neither a refusal, nor what a contract is said to have answered, fills a log or moves a terminal's cursor."""
    long = "\x1b[2J\n" + "x" * 1_000_000
    reason = "0x08c379a0" + encode(["string"], [long]).hex()
    for answer, method in (
        (error(-32000, long), "eth_chainId"),
        (error(-32005, long), "eth_chainId"),
        (lambda asked: saying({"id": asked["id"], "error": long}), "eth_chainId"),
        (error(3, long, reason), "eth_call"),
        (error(3, long, "0x" + "ab" * 1_000_000), "eth_call"),
        (error(10**400, "no"), "eth_chainId"),
    ):
        liar.tamper = answer
        with pytest.raises(ChainError) as raised:
            lied_to.rpc(method, {}, "latest")
        assert len(str(raised.value)) < 400
        assert str(raised.value).isprintable()


def test_a_wait_longer_than_any_number_is_a_minute(liar: Tamperer, lied_to: Chain) -> None:
    """Four hundred digits of seconds fit no float."""
    liar.tamper = error(-32005, "slow down", {"rate": {"backoff_seconds": 10**400}})
    with pytest.raises(RateLimited) as raised:
        lied_to.rpc("eth_chainId")
    assert raised.value.retry_after_seconds == 60


def test_a_views_answer_that_is_too_short_is_none(liar: Tamperer, lied_to: Chain) -> None:
    """An address of five bytes: an outage, not a crash."""
    liar.tamper = result("0x1122334455")
    with pytest.raises(ChainUnavailable, match="token"):
        contract_abi("ComputeMarket").answer("token", lied_to.call(Address("0x" + "11" * 20), b""))


def test_an_error_before_the_id_was_read_counts(liar: Tamperer, lied_to: Chain) -> None:
    """JSON-RPC has null for the id then."""
    liar.tamper = lambda _: saying({"id": None, "error": {"code": -32700, "message": "parse error"}})

    with pytest.raises(NodeRefused, match="parse error"):
        lied_to.rpc("eth_chainId")


def test_an_answer_without_end_is_not_read(liar: Tamperer, lied_to: Chain) -> None:
    """What exceeds the limit is left where it is, and says so with the limit."""
    liar.tamper = lambda _: Reply(b" " * (transports.LONGEST_ANSWER_BYTES + 1))

    with pytest.raises(AnswerTooLarge) as raised:
        lied_to.rpc("eth_chainId")
    assert raised.value.limit_bytes == transports.LONGEST_ANSWER_BYTES
    assert raised.value.method == "eth_chainId"


HEADER_LIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "null": lambda _: None,
    "a text": lambda _: "0x1",
    "no number": lambda header: {name: value for name, value in header.items() if name != "number"},
    "a block that is being made": lambda header: header | {"hash": None, "number": None},
    "a hash that is too short": lambda header: header | {"hash": "0x12"},
    "a time that is no time": lambda header: header | {"timestamp": "now"},
    "no bloom": lambda header: header | {"logsBloom": "0x"},
    "no parent": lambda header: header | {"parentHash": None},
    "another block": lambda header: header | {"number": "0x7fffffff", "hash": NOWHERE},
}


@pytest.mark.parametrize("kind", HEADER_LIES)
@pytest.mark.parametrize("by", ["number", "hash"])
def test_a_header_that_is_none_is_chain_unavailable(
    liar: Tamperer, lied_to: Chain, chain: Chain, kind: str, by: str
) -> None:
    """Null, a field that is missing or mangled, another block than was asked for: nobody goes on with it."""
    block = mine(chain, 2)
    which = block.number if by == "number" else block.hash

    def lie(asked: Any) -> Reply:
        return result(HEADER_LIES[kind](liar.node_says(asked)["result"]))(asked)

    liar.tamper = lie
    with pytest.raises(ChainUnavailable):
        lied_to.header(which)
    liar.tamper = lambda _: None

    assert lied_to.header(which).ref == block
    assert lied_to.header(which).parent == chain.block(block.number - 1).hash


def test_a_header_without_a_base_fee_is_one(liar: Tamperer, lied_to: Chain) -> None:
    """Chains without EIP-1559 have none."""
    assert (lied_to.header("latest").base_fee_wei or 0) > 0

    def bare(asked: Any) -> Reply:
        header = {name: value for name, value in liar.node_says(asked)["result"].items() if name != "baseFeePerGas"}
        return result(header | {"hash": standard_hash(header)})(asked)

    liar.tamper = bare

    assert lied_to.header("latest").base_fee_wei is None
    assert lied_to.header("latest").gas_limit == 30_000_000


@pytest.mark.parametrize(
    ("method", "parameters", "told"),
    [
        ("eth_getTransactionByHash", [NOWHERE], {"hash": "0x" + "66" * 32, "nonce": "0x0", "gas": "0x0", "input": "0x", "to": None}),
        ("eth_getTransactionByHash", [NOWHERE], {"hash": NOWHERE}),
        ("eth_getTransactionReceipt", [NOWHERE], {"transactionHash": NOWHERE, "blockHash": None}),
        ("eth_getLogs", [{}], None),
        ("eth_getLogs", [{}], [None]),
        ("eth_getLogs", [{}], [{"address": "0x"}]),
        ("eth_call", [{}, "latest"], "0x0"),
        ("eth_call", [{}, "latest"], None),
        ("eth_getCode", ["0x", "latest"], "code"),
        ("eth_sendRawTransaction", ["0x"], "ok"),
        ("eth_getTransactionCount", ["0x", "latest"], None),
    ],
)  # fmt: skip
def test_a_result_has_the_shape_of_its_method(
    liar: Tamperer, lied_to: Chain, method: str, parameters: Any, told: Any
) -> None:
    """Another is no answer, and neither is one that speaks of another transaction."""
    liar.tamper = result(told)

    with pytest.raises(ChainUnavailable, match=method):
        lied_to.rpc(method, *parameters)


def test_null_is_an_answer_where_the_method_gives_it(chain: Chain) -> None:
    """A transaction that the node does not know is none, and no error."""
    assert chain.rpc("eth_getTransactionByHash", NOWHERE) is None
    assert chain.rpc("eth_getTransactionReceipt", NOWHERE) is None


CALLS = [
    ("eth_chainId", []),
    ("eth_nonsense", []),
    ("eth_getBlockByNumber", ["0x0", False]),
    ("eth_getCode", [NOWHERE[:42], "latest"]),
]


def told(outcomes: list[Any]) -> list[Any]:
    return [
        type(one) if isinstance(one, Exception) else one["number"] if isinstance(one, dict) else one for one in outcomes
    ]


EXPECTED = ["0x7a69", NodeRefused, "0x0", "0x"]


def test_a_batch_is_one_request_and_each_call_has_its_outcome(liar: Tamperer, lied_to: Chain) -> None:
    """In the order of the calls, errors as values, each element counted."""
    assert told(lied_to.batch(CALLS)) == EXPECTED
    assert lied_to.calls.total == len(CALLS) == len(liar.seen)
    assert lied_to.calls.by_method["eth_chainId"] == 1
    assert lied_to.batch([]) == []


def test_answers_of_a_batch_come_in_any_order(liar: Tamperer, lied_to: Chain) -> None:
    """Their ids say whose they are; one that comes twice is the same one."""
    liar.tamper = lambda asked: saying(liar.node_says(asked)[::-1] * 2)

    assert told(lied_to.batch(CALLS)) == EXPECTED


def test_an_answer_that_is_missing_or_twofold_is_none(liar: Tamperer, lied_to: Chain) -> None:
    """The others of the batch stand."""

    def lie(asked: Any) -> Reply:
        answers = liar.node_says(asked)
        return saying([*answers[1:], answers[2] | {"result": None}])

    liar.tamper = lie

    assert told(lied_to.batch(CALLS)) == [ChainUnavailable, NodeRefused, ChainUnavailable, "0x"]


REFUSALS: dict[str, Callable[[Any], Reply]] = {
    "one error": lambda _: saying({"id": None, "error": {"code": -32600, "message": "batches are not supported"}}),
    "a list of one error": lambda _: saying([{"id": None, "error": {"code": -32600, "message": "batch too large"}}]),
    "HTTP 400": lambda _: Reply(PAGE, 400),
    "HTTP 413": lambda _: Reply(b"", 413),
    "HTTP 500": lambda _: Reply(PAGE, 500),
    "a page": lambda _: Reply(PAGE),
    "a text": lambda _: saying("batches?"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_node_that_takes_no_batches_is_asked_one_by_one(liar: Tamperer, lied_to: Chain, kind: str) -> None:
    """The outcomes are the same, and the node is not asked in batches again for the time being."""
    liar.tamper = lambda asked: REFUSALS[kind](asked) if isinstance(asked, list) else None
    assert told(lied_to.batch(CALLS)) == EXPECTED
    liar.seen.clear()

    assert told(lied_to.batch(CALLS)) == EXPECTED
    assert len(liar.seen) == len(CALLS)


def test_a_node_that_takes_short_batches_is_sent_short_ones(liar: Tamperer, lied_to: Chain) -> None:
    """What it takes is found by halving."""
    longest: list[int] = []

    def lie(asked: Any) -> Reply | None:
        if isinstance(asked, list) and len(asked) > 10:
            return REFUSALS["one error"](asked)
        longest.append(len(asked) if isinstance(asked, list) else 1)
        return None

    liar.tamper = lie

    assert lied_to.batch([("eth_chainId", [])] * 50) == ["0x7a69"] * 50
    assert max(longest) > 1


@pytest.mark.parametrize("kind", ["a proxy's page", "nothing", "no object"])
def test_a_batch_without_any_answer_is_chain_unavailable(liar: Tamperer, lied_to: Chain, kind: str) -> None:
    """As a whole; and the next one is a batch again, for nothing was wrong with that."""
    liar.tamper = NO_ANSWERS[kind]

    with pytest.raises(ChainUnavailable):
        lied_to.batch(CALLS)
    sizes: list[int] = []
    liar.tamper = lambda asked: sizes.append(len(asked))

    assert told(lied_to.batch(CALLS)) == EXPECTED
    assert sizes == [len(CALLS)]


def test_a_limit_on_batches_is_a_limit(liar: Tamperer, lied_to: Chain) -> None:
    """It is not taken for a refusal of batches, which would make more requests of one."""
    liar.tamper = lambda _: saying({"id": None, "error": {"code": -32005, "message": "limit exceeded"}})

    with pytest.raises(RateLimited):
        lied_to.batch(CALLS)
    assert len(liar.seen) == len(CALLS)


def test_a_name_and_a_password_in_a_nodes_url_are_sent_as_basic_authentication() -> None:
    """Decoded as a URL's parts are; and they stand in no header where there are none."""
    seen = list[str | None]()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Door) as server, ThreadPoolExecutor(1) as pool:
        answered = [pool.submit(server.handle_request) for _ in range(2)]
        for account in ("me:pass%40word@", ""):
            chain = Chain([f"http://{account}127.0.0.1:{server.server_port}"])
            with pytest.raises(ChainUnavailable):
                chain.rpc("eth_blockNumber")
            chain.close()
        for each in answered:
            each.result(timeout=20)

    assert seen == ["Basic " + b64encode(b"me:pass@word").decode(), None]
