"""The fault proxy itself: what it says is done, and nothing else is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from marketplace.chain.blocks import Chain
from marketplace.chain.devnet import ANVIL_KEYS, mine
from marketplace.chain.verbs import Call
from tests.faults.proxy import MOST_CONNECTIONS, FaultProxy
from tests.faults.rules import Fault, Rule, Rulebook, next_one

KEY, OTHER = ANVIL_KEYS[6], ANVIL_KEYS[7]
NOBODY = "0x" + "11" * 20


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client


def ask(http: httpx.Client, node: FaultProxy, *methods: str, line: str = "test") -> Any:
    """A batch of calls without parameters, or one call."""
    calls = [{"jsonrpc": "2.0", "id": n, "method": method, "params": []} for n, method in enumerate(methods, 1)]
    return http.post(node.url(line), json=calls if len(calls) > 1 else calls[0])


@contextmanager
def holding_blocks(honest: Chain) -> Iterator[None]:
    """Transactions wait in the pool meanwhile."""
    honest.rpc("evm_setAutomine", False)
    yield
    honest.rpc("anvil_dropAllTransactions")
    honest.rpc("evm_setAutomine", True)


def signed(honest: Chain, *, key: Any = KEY, nonce: int | None = None, tip: int = 10**9, cap: int = 10**11) -> str:
    """A transfer of nothing."""
    if nonce is None:
        nonce = int(honest.rpc("eth_getTransactionCount", key.address, "latest"), 16)
    transaction = {
        "type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(NOBODY[2:]), "value": 0, "data": b"", "gas": 21_000,
        "maxPriorityFeePerGas": tip, "maxFeePerGas": cap,
    }  # fmt: skip
    return str(key.sign_transaction(transaction).raw)


def sent_and_mined(honest: Chain) -> str:
    """The hash of a transfer of nothing that has a block: anvil mines it by itself, and answers before it has."""
    sent = str(honest.rpc("eth_sendRawTransaction", signed(honest)))
    assert any(honest.rpc("eth_getTransactionReceipt", sent) for _ in range(10_000))
    return sent


def three_logs(honest: Chain) -> dict[str, str]:
    """The block of a transaction that logs three times, as a range for eth_getLogs."""
    # A contract that only logs: PUSH0 PUSH0 LOG0, three times, as its creation code.
    sent = honest.rpc("eth_sendTransaction", {"from": ANVIL_KEYS[8].address, "data": "0x" + "5f5fa0" * 3})
    mine(honest)
    number = honest.rpc("eth_getTransactionReceipt", sent)["blockNumber"]
    return {"fromBlock": number, "toBlock": number}


def error_of(http: httpx.Client, node: FaultProxy, raw: str) -> str:
    """What the node says to a transaction; empty where it takes it."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [raw]}
    return str(http.post(node.url(), json=call).json().get("error", {}).get("message", ""))


def test_without_rules_it_is_the_node(node: FaultProxy, honest: Chain, http: httpx.Client) -> None:
    """Single calls and batches come through as they are, answers in the order of the calls."""
    single = ask(http, node, "eth_chainId").json()
    batch = ask(http, node, "eth_chainId", "eth_blockNumber", "net_version").json()

    assert single["result"] == hex(31337)
    assert [answer["id"] for answer in batch] == [1, 2, 3]
    assert [answer["result"] for answer in batch] == [hex(31337), hex(honest.head().number), "31337"]
    assert node.rules.done == ()


def test_every_element_of_a_batch_is_counted_and_for_whom(node: FaultProxy, http: httpx.Client) -> None:
    """Calls are counted by party and method, each element of a batch for itself."""
    ask(http, node, "eth_chainId", "eth_blockNumber", "eth_chainId", line="agent")
    ask(http, node, "eth_chainId", line="client")

    assert node.calls == {("agent", "eth_chainId"): 2, ("agent", "eth_blockNumber"): 1, ("client", "eth_chainId"): 1}
    assert (node.exchanges, node.calls_of("agent"), node.calls_of(method="eth_chainId")) == (2, 3, 3)


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DROP_REPLY])
def test_a_dropped_line_is_a_dropped_line(node: FaultProxy, honest: Chain, http: httpx.Client, fault: Fault) -> None:
    """Dropped before, the node never hears of it; dropped afterwards, it has done it."""
    head = honest.head().number
    node.rules.add(next_one(fault, "evm_mine"))

    with pytest.raises(httpx.TransportError):
        ask(http, node, "evm_mine")

    assert honest.head().number - head == (0 if fault is Fault.DROP else 1)
    assert ask(http, node, "eth_chainId").status_code == 200


@pytest.mark.parametrize(("status", "waits"), [(429, "7"), (500, None), (502, None), (503, "7")])
def test_html_pages_come_with_their_status(
    node: FaultProxy, http: httpx.Client, status: int, waits: str | None
) -> None:
    """A page of HTML instead of an answer; the statuses that have it say Retry-After."""
    node.rules.add(next_one(Fault.HTTP, ".*", setting=status, message="7"))
    page = ask(http, node, "eth_chainId", "eth_blockNumber")

    assert page.status_code == status
    assert page.text.startswith("<html>")
    assert page.headers.get("Retry-After") == waits


def test_errors_strike_single_elements(node: FaultProxy, http: httpx.Client) -> None:
    """In a batch an error is the answer to its own call only; a rate limit says when to come again."""
    node.rules.add(next_one(Fault.ERROR, "eth_chainId", setting=-32005, message="slow down"))
    answer = ask(http, node, "eth_chainId", "eth_blockNumber")

    assert answer.headers["Retry-After"] == "1"
    assert answer.json()[0]["error"] == {"code": -32005, "message": "slow down"}
    assert "result" in answer.json()[1]


def test_accepted_then_failed(node: FaultProxy, honest: Chain, http: httpx.Client) -> None:
    """-32603 is answered after the node has done what it was asked."""
    head = honest.head().number
    node.rules.add(next_one(Fault.FAILED_AFTERWARDS, "evm_mine"))

    assert ask(http, node, "evm_mine").json()["error"]["code"] == -32603
    assert honest.head().number == head + 1


def test_answers_are_spoilt(node: FaultProxy, http: httpx.Client) -> None:
    """Truncated, huge, with another id, null, of another type, without a field: as asked, once each."""
    for fault, more in (
        (Fault.TRUNCATED, {}), (Fault.HUGE, {"setting": 1 << 20}), (Fault.WRONG_ID, {}), (Fault.NULL, {}), (Fault.WRONG_TYPE, {}),
    ):  # fmt: skip
        node.rules.add(next_one(fault, "eth_chainId", **more))
        answer = ask(http, node, "eth_chainId")
        match fault:
            case Fault.TRUNCATED:
                with pytest.raises(ValueError):
                    answer.json()
            case Fault.HUGE:
                assert len(answer.content) > 1 << 20
            case Fault.WRONG_ID:
                assert answer.json()["id"] != 1
            case _:
                assert answer.json()["result"] == (None if fault is Fault.NULL else "0xnonsense")

    assert ask(http, node, "eth_chainId").json()["result"] == hex(31337)


def test_a_header_may_lack_a_field(node: FaultProxy, far: Chain) -> None:
    """A header comes without baseFeePerGas, all other fields as they are."""
    node.rules.add(next_one(Fault.NO_FIELD, "eth_getBlockByNumber", message="baseFeePerGas"))
    header = far.rpc("eth_getBlockByNumber", "latest", False)

    assert "baseFeePerGas" not in header
    assert "gasLimit" in header


def test_batches_may_be_refused_cut_short_or_shuffled(node: FaultProxy, http: httpx.Client) -> None:
    """No batches: one error for all. A missing answer and another order are what JSON-RPC allows clients to meet."""
    node.rules.add(next_one(Fault.NO_BATCHES, "eth_chainId"))
    assert ask(http, node, "eth_chainId", "net_version").json()["error"]["code"] == -32600

    node.rules.add(next_one(Fault.MISSING_ANSWER, "eth_chainId"))
    assert [answer["id"] for answer in ask(http, node, "eth_chainId", "net_version").json()] == [2]

    node.rules.add(next_one(Fault.SHUFFLED, "eth_chainId"))
    assert [answer["id"] for answer in ask(http, node, "eth_chainId", "net_version").json()] == [2, 1]


def test_a_lagging_node_knows_nothing_newer(node: FaultProxy, honest: Chain, far: Chain) -> None:
    """Heads, blocks, receipts, transactions, logs, counts and calls are those of some blocks ago; the head goes back."""
    sent = sent_and_mined(honest)
    count = honest.rpc("eth_getTransactionCount", KEY.address, "latest")
    head = mine(honest)
    node.rules.add(Rule(Fault.LAGGING, setting=2))

    assert far.head().number == head.number - 2
    assert far.rpc("eth_getBlockByNumber", hex(head.number), False) is None
    assert far.rpc("eth_getBlockByHash", head.hash, False) is None
    assert far.rpc("eth_getTransactionReceipt", sent) is None
    assert far.rpc("eth_getTransactionByHash", sent) is None
    assert int(far.rpc("eth_getTransactionCount", KEY.address, "pending"), 16) == int(count, 16) - 1
    assert far.rpc("eth_getLogs", {"fromBlock": hex(head.number), "toBlock": hex(head.number)}) == []
    with pytest.raises(Exception, match="unknown block"):
        far.rpc("eth_getLogs", {"blockHash": head.hash})
    with pytest.raises(Exception, match="header not found"):
        far.rpc("eth_call", {"to": NOBODY}, {"blockHash": head.hash})

    node.rules.clear()
    assert far.head() == head


def test_two_nodes_behind_one_address(node: FaultProxy, honest: Chain, far: Chain) -> None:
    """Answers come now from the newest state and now from an older one, and from no other."""
    head = mine(honest, 5).number
    node.rules.add(Rule(Fault.SPLIT, setting=3))

    assert {int(far.rpc("eth_blockNumber"), 16) for _ in range(40)} == {head, head - 3}


def test_logs_may_be_missing(node: FaultProxy, honest: Chain, far: Chain) -> None:
    """Empty and partial logs, without an error."""
    span = three_logs(honest)
    whole = far.rpc("eth_getLogs", span)
    node.rules.add(next_one(Fault.PARTIAL_LOGS, "eth_getLogs"))
    partial = far.rpc("eth_getLogs", span)
    node.rules.add(next_one(Fault.EMPTY_LOGS, "eth_getLogs"))

    assert len(whole) == 3
    assert partial == whole[1::2]
    assert far.rpc("eth_getLogs", span) == []


def test_log_limits(node: FaultProxy, honest: Chain, far: Chain) -> None:
    """Ranges over the limit, and answers over the limit, are refused; smaller ones are served."""
    head = mine(honest, 10).number
    node.rules.add(Rule(Fault.LOG_RANGE, setting=5))

    assert far.rpc("eth_getLogs", {"fromBlock": hex(head - 4), "toBlock": hex(head)}) == []
    with pytest.raises(Exception, match="maximum block range: 5"):
        far.rpc("eth_getLogs", {"fromBlock": hex(head - 5), "toBlock": "latest"})

    span = three_logs(honest)
    node.rules.clear()
    node.rules.add(Rule(Fault.LOG_COUNT, setting=2))
    with pytest.raises(Exception, match="more than 2 results"):
        far.rpc("eth_getLogs", span)


def test_gets_rules_of_replacement(node: FaultProxy, honest: Chain, http: httpx.Client) -> None:
    """What waits is known already; a replacement needs 10 % more of both fees; a mined nonce is too low."""
    node.rules.add(Rule(Fault.GETH_POOL))
    with holding_blocks(honest):
        first = signed(honest)
        nonce = int(honest.rpc("eth_getTransactionCount", KEY.address, "latest"), 16)
        more = {"nonce": nonce}

        assert error_of(http, node, first) == ""
        assert error_of(http, node, first) == "already known"
        for tip, cap in ((11 * 10**8 - 1, 11 * 10**10), (11 * 10**8, 11 * 10**10 - 1), (2 * 10**9, 10**11)):
            assert (
                error_of(http, node, signed(honest, tip=tip, cap=cap, **more)) == "replacement transaction underpriced"
            )
        assert error_of(http, node, signed(honest, tip=11 * 10**8, cap=11 * 10**10, **more)) == ""
        mine(honest)
        assert error_of(http, node, first) == f"nonce too low: next nonce {nonce + 1}, tx nonce {nonce}"


def test_gets_rule_of_eviction(node: FaultProxy, honest: Chain, far: Chain) -> None:
    """A transaction whose fee cap falls below the base fee leaves the pool."""
    with holding_blocks(honest):
        sent = far.rpc("eth_sendRawTransaction", signed(honest, key=OTHER, tip=1, cap=2 * 10**9))
        assert far.rpc("eth_getTransactionByHash", sent) is not None
        honest.rpc("anvil_setNextBlockBaseFeePerGas", hex(3 * 10**9))
        node.rules.add(Rule(Fault.GETH_POOL))

        assert far.rpc("eth_getTransactionByHash", sent) is None
        assert sent in node.rules.done[-1].detail
    honest.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))


def test_one_seed_draws_the_same_faults(anvil: Any, http: httpx.Client) -> None:
    """Two proxies of one seed strike the same calls, whatever other calls come between; another seed strikes others."""

    def struck(seed: int, *, between: bool) -> list[bool]:
        with FaultProxy(anvil.rpc_url, seed=seed) as node:
            node.rules.add(Rule(Fault.ERROR, "eth_chainId|eth_blockNumber", chance=0.3, setting=-32000))
            found = []
            for _ in range(40):
                if between:
                    ask(http, node, "eth_blockNumber")
                found.append("error" in ask(http, node, "eth_chainId").json())
            return found

    first = struck(5, between=False)

    assert first == struck(5, between=True) != struck(6, between=False)
    assert 4 < sum(first) < 22


def test_rules_are_for_a_line_and_end() -> None:
    """A rule strikes its own line's methods only, spares the first, and is spent after its times."""
    rules = Rulebook(1)
    rule = rules.add(next_one(Fault.NULL, "eth_get.*", lines="agent-1", times=2, skip=1))

    assert not rules.deal("agent-2", "eth_getLogs")
    assert not rules.deal("agent-1", "eth_call")
    assert [rules.deal("agent-1", "eth_getLogs") for _ in range(4)] == [(), (rule,), (rule,), ()]


def test_it_is_bounded(node: FaultProxy, http: httpx.Client) -> None:
    """Too large a request is refused; connections beyond the bound are closed; it serves on."""
    with socket.create_connection(node.server_address[:2]) as large:
        large.sendall(f"POST / HTTP/1.1\r\nContent-Length: {1 << 30}\r\n\r\n".encode())
        assert large.recv(100).startswith(b"HTTP/1.1 413")
    sockets = [socket.create_connection(node.server_address[:2]) for _ in range(MOST_CONNECTIONS + 5)]
    try:
        sockets[-1].settimeout(10)
        assert sockets[-1].recv(1) == b""
    finally:
        for opened in sockets:
            opened.close()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(http, node, "eth_chainId").status_code, range(40)))
    assert answers == [200] * 40


def test_websockets_pass_through(anvil: Any, node: FaultProxy) -> None:
    """A websocket is handed through, and can be cut."""
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    with connect(node.url("heads").replace("http", "ws"), proxy=None) as line:
        line.send('{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}')
        assert hex(31337) in str(line.recv(10))
        node.cut()
        with pytest.raises(ConnectionClosed):
            line.recv(10)
    assert node.calls_of("heads", "websocket") == 1


def test_our_sender_sends_through_it(node: FaultProxy, far: Chain) -> None:
    """The market's own code works on it as on the node."""
    from marketplace.chain.transactions import Sender

    mined = Sender(far, ANVIL_KEYS[5]).send(Call(None, bytes.fromhex("5f5ff3"), "deploy"))

    assert mined.contract
    assert node.calls_of("test", "eth_sendRawTransaction") == 1
