"""Everything that may go wrong, by kind. A seed chooses some kinds, and how much of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING

from marketplace.chain.devnet import ANVIL_KEYS
from tests.faults.rules import Fault, Rule

if TYPE_CHECKING:
    from tests.faults.simulation.stage import Stage

Trouble = Callable[["Stage", Random], None]

SENDING = "eth_sendRawTransaction"
READING = (
    "eth_(getTransaction.*|getBlock.*|blockNumber|getLogs|call|getTransactionCount|estimateGas|getTransactionReceipt)"
)

DEATHS = (
    "before eth_sendRawTransaction", "after eth_sendRawTransaction", "before eth_estimateGas", "after eth_getTransactionReceipt",
    "before eth_getLogs", "after eth_getLogs", "before eth_call", "before POST /v1/orders", "after POST /v1/orders",
    "after POST /v1/leases", "before POST /v1/leases", "after PUT /v1/blobs", "log ", "log serving", "log job", "log receipt",
    "log lease", "log round", "log transaction", "log settlement", "log offer",
)  # fmt: skip
"""Where a process may die: before and after what it says to others, and at any line of its log."""


def _rule(fault: Fault, methods: str, stream: Random, **more: int | str) -> Rule:
    """A fault for some of the calls of one party or of all, for a while."""
    return Rule(fault, methods, chance=stream.choice((0.1, 0.3, 0.7)), **more)  # type: ignore[arg-type]


def _window(fault: Fault, methods: str, *settings: int | str) -> Trouble:
    def begin(stage: Stage, stream: Random) -> None:
        chosen = stream.choice(settings) if settings else 0
        more: dict[str, int | str] = {"message": chosen} if isinstance(chosen, str) else {"setting": chosen}
        lines = stream.choice((".*", *stage.names))
        rule = _rule(fault, methods, stream, lines=lines, **more)
        stage.open_window(rule, stream.randrange(4, 20))

    return begin


def _reorganisation(stage: Stage, stream: Random) -> None:
    depth = stream.choice((1, 1, 2, 3, 4, 6, 8, 12, 20, 32, 64)) if stream.random() < 0.97 else 132
    how = stream.choice(("gone", "kept", "some", "pooled"))
    stage.history.met(f"reorg {how}", f"{depth} blocks")
    stage.world.reorganise(depth, how, stream)


def _death(stage: Stage, stream: Random) -> None:
    party = stage.parties[stream.choice(stage.names)]
    if stream.random() < 0.25 or party.name == "gateway":
        stage.history.met("kill", f"{party.name} between two steps")
        party.die()
    else:
        point = stream.choice(DEATHS)
        stage.history.say(f"  {party.name} is to die {point}")
        party.life.arm(point, stream.randrange(4))


def _absence(stage: Stage, stream: Random) -> None:
    name = stream.choice(stage.names)
    stage.history.met("silent", name)
    stage.parties[name].die()
    stage.away[name] = stream.choice((5, 15, 30))


def _flush(stage: Stage, _: Random) -> None:
    stage.history.met("redis wiped")
    stage.world.flush_redis()


def _jump(stage: Stage, stream: Random) -> None:
    seconds = stream.choice((10, 30, 70, 150))
    stage.history.met("clock jump", f"{seconds} s")
    stage.world.block(seconds)


def _spike(stage: Stage, stream: Random) -> None:
    factor = stream.choice((3, 10, 40))
    stage.history.met("fee spike", f"{factor} times")
    stage.world.spike(factor)
    stage.world.block()


def _foreign(stage: Stage, stream: Random) -> None:
    """Another transaction of a party's key: with the next nonce, or in the place of one that waits."""
    key = stream.choice(ANVIL_KEYS[1:6])
    which = stream.choice(("latest", "pending"))
    chain = stage.world.chain
    nonce = int(chain.rpc("eth_getTransactionCount", key.address, which), 16)
    fees = {"maxPriorityFeePerGas": 50 * 10**9, "maxFeePerGas": 900 * 10**9}
    raw = key.sign_transaction(
        {"type": 2, "chainId": 31337, "nonce": nonce, "to": bytes.fromhex(key.address[2:]), "value": 0, "data": b"",
         "gas": 21_000, **fees}
    ).raw  # fmt: skip
    stage.history.met("foreign transaction", f"{key.address[:8]} nonce {nonce} ({which})")
    chain.rpc_or_none(raw)


def _drop(stage: Stage, _: Random) -> None:
    stage.history.met("pool emptied")
    stage.world.chain.rpc("anvil_dropAllTransactions")


def _two_leaders(stage: Stage, _: Random) -> None:
    if not stage.has_second_leader:
        stage.history.met("two leaders")
        stage.has_second_leader = True


TROUBLES: Mapping[str, Trouble] = {
    "error": _window(Fault.ERROR, f"{READING}|{SENDING}", -32603, -32000, -32005),
    "http": _window(Fault.HTTP, ".*", 429, 500, 502, 503),
    "drop": _window(Fault.DROP, ".*"),
    "drop reply": _window(Fault.DROP_REPLY, ".*"),
    "lost acknowledgement": _window(Fault.DROP_REPLY, SENDING),
    "failed afterwards": _window(Fault.FAILED_AFTERWARDS, SENDING),
    "truncated": _window(Fault.TRUNCATED, ".*"),
    "wrong id": _window(Fault.WRONG_ID, ".*"),
    "null": _window(Fault.NULL, "eth_getTransactionByHash|eth_getBlockByHash|eth_getBlockByNumber"),
    "null receipt": _window(Fault.NULL, "eth_getTransactionReceipt|eth_getTransactionByHash"),
    "null anywhere": _window(Fault.NULL, READING),
    "empty logs": _window(Fault.EMPTY_LOGS, "eth_getLogs"),
    "partial logs": _window(Fault.PARTIAL_LOGS, "eth_getLogs"),
    "lagging": _window(Fault.LAGGING, ".*", 1, 2, 5),
    "split": _window(Fault.SPLIT, ".*", 1, 2, 5),
    "backwards": _window(Fault.LAGGING, "eth_blockNumber|eth_getBlockByNumber", 1, 3),
    "missing field": _window(Fault.NO_FIELD, "eth_getBlock.*", "baseFeePerGas", "timestamp", "logsBloom", "hash"),
    "wrong type": _window(Fault.WRONG_TYPE, READING),
    "no tip": _window(Fault.UNKNOWN_METHOD, "eth_maxPriorityFeePerGas"),
    "no batches": _window(Fault.NO_BATCHES, ".*"),
    "log limits": _window(Fault.LOG_RANGE, "eth_getLogs", 1, 10, 50),
    "reorg": _reorganisation,
    "kill": _death,
    "absence": _absence,
    "flush": _flush,
    "jump": _jump,
    "spike": _spike,
    "foreign": _foreign,
    "dropped": _drop,
    "two leaders": _two_leaders,
}
"""By name, so that a seed that fails can be tried without one of them."""
