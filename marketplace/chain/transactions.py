"""Sending transactions: simulate first, own the nonce, write down before broadcasting, and say how it went.

A transaction that may have been broadcast and is not in a block yet is never signed a second time: whoever sends the
same call again after ChainUnavailable or TransactionNotMined waits on with the same raw bytes and the same nonce.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

import structlog

from marketplace.chain.blocks import LATEST, PENDING, Chain, block_ref
from marketplace.chain.events import decode_logs
from marketplace.chain.reverts import NO_REASON, OUT_OF_GAS
from marketplace.chain.signing import Key, SignedTransaction
from marketplace.chain.verbs import Call
from marketplace.domain.errors import ChainUnavailable, NodeRefused, TransactionNotMined, TransactionReverted
from marketplace.domain.events import Event
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.models import BlockRef

_log = structlog.get_logger()

MAX_TRANSACTION_GAS: Final = 1 << 24
"""EIP-7825."""
_SPARE_GAS = 200_000
"""Room for items of a batch that are refused when simulated and hold when mined; unused gas costs nothing."""

FEE_SPREAD_WEI = 1 << 16
_FIRST_POLL_SECONDS = 0.02
_SLOWEST_POLL_SECONDS = 0.25
_REBROADCAST_SECONDS = 5.0
"""A node that restarts forgets what it has not mined."""

_NONCE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Fees:
    """What gas costs now (EIP-1559), and how much of it a transaction may use."""

    base_wei: int
    tip_wei: int
    block_gas_limit: int

    @classmethod
    def now(cls, chain: Chain) -> Fees:
        header = chain.rpc("eth_getBlockByNumber", LATEST, False)
        tip = int(chain.rpc("eth_maxPriorityFeePerGas"), 16)
        return cls(int(header["baseFeePerGas"], 16), tip, int(header["gasLimit"], 16))

    @property
    def likely_wei(self) -> int:
        """Per gas, in the next block."""
        return self.base_wei + self.tip_wei

    @property
    def most_wei(self) -> int:
        """Per gas, offered at most: the base fee may double while a transaction waits."""
        return 2 * self.base_wei + self.tip_wei

    def gas_limit(self, estimate: int) -> int:
        """The most that a transaction of this estimate may use."""
        return min(2 * estimate + _SPARE_GAS, self.block_gas_limit, MAX_TRANSACTION_GAS)


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that did what it should, where, and what the called contract said about it."""

    tx_hash: Bytes32
    block: BlockRef
    gas_used: int
    events: tuple[Event, ...]
    contract: Address | None = None
    """The contract that it created."""


class OutboxEntry(Protocol):
    """A transaction that was written down before it was broadcast."""

    @property
    def nonce(self) -> int: ...
    @property
    def verb(self) -> str: ...
    @property
    def raw(self) -> str: ...
    @property
    def tx_hash(self) -> Bytes32: ...


class Outbox(Protocol):
    """Where signed transactions are kept from before their broadcast until they are mined. A journal implements it."""

    def put(self, account: Address, nonce: int, verb: str, raw: str, tx_hash: Bytes32) -> None:
        """Keep a signed transaction; on return it survives a crash."""

    def unmined(self, account: Address) -> Sequence[OutboxEntry]:
        """What may still be waiting, by nonce."""

    def mined(self, tx_hash: Bytes32, block_number: int) -> None:
        """It is in that block. May be told twice."""

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        """It can never be in a block any more."""


@dataclass(frozen=True, slots=True)
class _Entry:
    nonce: int
    verb: str
    raw: str
    tx_hash: Bytes32


class MemoryOutbox:
    """An outbox for tools that end when their transaction is mined."""

    def __init__(self) -> None:
        self._entries: dict[Bytes32, tuple[Address, _Entry]] = {}

    def put(self, account: Address, nonce: int, verb: str, raw: str, tx_hash: Bytes32) -> None:
        self._entries[tx_hash] = (account, _Entry(nonce, verb, raw, tx_hash))

    def unmined(self, account: Address) -> Sequence[OutboxEntry]:
        return sorted((entry for owner, entry in self._entries.values() if owner == account), key=lambda e: e.nonce)

    def mined(self, tx_hash: Bytes32, block_number: int) -> None:
        self._entries.pop(tx_hash, None)

    def dropped(self, tx_hash: Bytes32, why: str) -> None:
        self._entries.pop(tx_hash, None)


class _NonceTaken(Exception):
    """Another transaction of the account has the nonce: ours can never be mined, and may be signed again."""


class Sender:
    """Sends one account's transactions. Safe to share between threads.

    Another process may send for the same account at the same time: the loser of a nonce simulates and signs again.
    """

    def __init__(self, chain: Chain, key: Key, outbox: Outbox | None = None) -> None:
        self.chain = chain
        self.address = key.address
        self._key = key
        self._outbox: Outbox = outbox if outbox is not None else MemoryOutbox()
        self._lock = threading.Lock()
        self._next_nonce: int | None = None
        self._unresolved: dict[Call, SignedTransaction] = {}

    def send(self, call: Call, *, wait_seconds: int = 60) -> Mined:
        """Send the call and wait until it is in a block.

        Raises TransactionReverted, before anything is sent where the simulation shows it; TransactionNotMined and
        ChainUnavailable, after which the same call may be sent again without doing it twice; NodeRefused.
        """
        deadline = monotonic() + wait_seconds
        for _ in range(_NONCE_TRIES):
            signed, is_sent = self._started(call)
            try:
                return self._waited_for(signed, deadline, wait_seconds, is_sent=is_sent)
            except _NonceTaken:
                _log.warning("transaction.nonce_taken", verb=call.verb, nonce=signed.nonce, account=self.address)
            except (ChainUnavailable, TransactionNotMined):
                with self._lock:
                    self._unresolved[call] = signed
                raise
        raise TransactionNotMined(signed.tx_hash, wait_seconds)

    def recover(self, *, wait_seconds: int = 60) -> tuple[Mined, ...]:
        """Broadcast again what the outbox holds, and wait for it; to be called once at start.

        Returns what succeeded. What reverted or lost its nonce is struck out; what is not mined in time stays.
        """
        deadline = monotonic() + wait_seconds
        with self._lock:
            alive = self._rebroadcast()
        found = [self._recovered(entry, deadline, wait_seconds) for entry in alive]
        return tuple(mined for mined in found if mined)

    def _started(self, call: Call) -> tuple[SignedTransaction, bool]:
        """The call's transaction, the one that is still out there or a new one, and whether the node surely has it."""
        with self._lock:
            waiting = self._unresolved.pop(call, None)
            if waiting is not None:
                return waiting, False
            for _ in range(_NONCE_TRIES):
                signed, is_sent = self._signed(call), True
                self._outbox.put(self.address, signed.nonce, call.verb, signed.raw, signed.tx_hash)
                try:
                    self._broadcast(signed)
                except _NonceTaken:
                    self._next_nonce = None
                    continue
                except NodeRefused:
                    self._next_nonce = None
                    raise
                except ChainUnavailable:
                    # It may have arrived all the same. Waiting for it finds out, and broadcasts it again.
                    is_sent = False
                self._next_nonce = signed.nonce + 1
                return signed, is_sent
        raise TransactionNotMined(signed.tx_hash, 0)

    def _signed(self, call: Call) -> SignedTransaction:
        message = {"from": self.address, "data": "0x" + call.input.hex()} | ({"to": call.to} if call.to else {})
        # Estimating runs the call: if it reverts, this says why. On the pending block, so that our own earlier
        # transactions and the time of the block to come count.
        estimate = int(self.chain.rpc("eth_estimateGas", message, PENDING), 16)
        fees = Fees.now(self.chain)
        return self._key.sign_transaction(
            {
                "type": 2,
                "chainId": self.chain.chain_id,
                "nonce": self._nonce(),
                # eth-account wants a checksum, or bytes.
                "to": bytes.fromhex(call.to[2:]) if call.to else b"",
                "value": 0,
                "data": call.input,
                "gas": fees.gas_limit(estimate),
                "maxPriorityFeePerGas": fees.tip_wei,
                # A few random wei, never paid: a call that was refused and is signed again is another transaction, with
                # another hash, and nobody mistakes the one that was struck out for it.
                "maxFeePerGas": fees.most_wei + secrets.randbelow(FEE_SPREAD_WEI),
            }
        )

    def _nonce(self) -> int:
        """The next nonce: counted here, and asked of the node only at first and after a surprise."""
        if self._next_nonce is None or self._unresolved:
            alive = self._rebroadcast()
            self._next_nonce = max([self._count(), *(entry.nonce + 1 for entry in alive)])
        return self._next_nonce

    def _rebroadcast(self) -> list[OutboxEntry]:
        """Broadcast what the outbox holds, by nonce, so that no gap holds up what follows; return what still lives."""
        alive = []
        for entry in self._outbox.unmined(self.address):
            try:
                block_number = self._broadcast(entry)
                alive.append(entry)
                if block_number is not None:
                    self._outbox.mined(entry.tx_hash, block_number)
            except (_NonceTaken, NodeRefused) as exc:
                _log.warning("transaction.dropped", verb=entry.verb, nonce=entry.nonce, reason=repr(exc))
        return alive

    def _broadcast(self, signed: SignedTransaction | OutboxEntry) -> int | None:
        """Give it to the node, which may know it already; return the number of the block that it is in, if it is.

        Strikes it out where it can never be mined. Nodes tell refusals apart by words only, and by other words each;
        what is true of the chain tells more.
        """
        try:
            self.chain.rpc("eth_sendRawTransaction", signed.raw)
            return None
        except NodeRefused as exc:
            known = self.chain.rpc("eth_getTransactionByHash", signed.tx_hash)
            if known is not None:
                return int(known["blockNumber"], 16) if known.get("blockNumber") else None
            self._outbox.dropped(signed.tx_hash, exc.message)
            if self._count() > signed.nonce:
                raise _NonceTaken from exc
            raise

    def _count(self) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", self.address, PENDING), 16)

    def _recovered(self, entry: OutboxEntry, deadline: float, wait_seconds: int) -> Mined | None:
        try:
            mined = self._waited_for(entry, deadline, wait_seconds)
        except (_NonceTaken, NodeRefused, TransactionReverted, TransactionNotMined) as exc:
            _log.warning("transaction.not_recovered", verb=entry.verb, tx_hash=entry.tx_hash, reason=repr(exc))
            return None
        _log.info("transaction.recovered", verb=entry.verb, tx_hash=entry.tx_hash, block=mined.block.number)
        return mined

    def _waited_for(
        self, signed: SignedTransaction | OutboxEntry, deadline: float, wait_seconds: int, *, is_sent: bool = True
    ) -> Mined:
        """Poll until it is in a block, broadcasting it again now and then. A node that is away meanwhile may return."""
        waiting, pause = threading.Event(), _FIRST_POLL_SECONDS
        next_broadcast = monotonic() + _REBROADCAST_SECONDS if is_sent else 0.0
        while True:
            try:
                receipt = self.chain.rpc("eth_getTransactionReceipt", signed.tx_hash)
                if receipt is not None:
                    return self._outcome(signed, receipt)
                if monotonic() >= next_broadcast:
                    self._broadcast(signed)
                    next_broadcast = monotonic() + _REBROADCAST_SECONDS
            except ChainUnavailable:
                next_broadcast = 0.0
                if monotonic() >= deadline:
                    raise
            if monotonic() >= deadline:
                raise TransactionNotMined(signed.tx_hash, wait_seconds)
            waiting.wait(pause)
            pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)

    def _outcome(self, signed: SignedTransaction | OutboxEntry, receipt: Any) -> Mined:
        block = block_ref(self.chain.rpc("eth_getBlockByHash", receipt["blockHash"], False))
        self._outbox.mined(signed.tx_hash, block.number)
        if int(receipt["status"], 16) == 0:
            raise self._reason(signed.tx_hash, receipt)
        to, created = receipt.get("to"), receipt.get("contractAddress")
        return Mined(
            tx_hash=signed.tx_hash,
            block=block,
            gas_used=int(receipt["gasUsed"], 16),
            events=decode_logs(receipt["logs"], Address(to.lower()), lambda _: block.timestamp) if to else (),
            contract=Address(created.lower()) if created else None,
        )

    def _reason(self, tx_hash: Bytes32, receipt: Any) -> TransactionReverted:
        """Why a mined transaction reverted: receipts do not say it, running it again after its block does."""
        sent = self.chain.rpc("eth_getTransactionByHash", tx_hash)
        if int(receipt["gasUsed"], 16) == int(sent["gas"], 16):
            return TransactionReverted(OUT_OF_GAS)
        message = {"from": self.address, "to": sent["to"], "data": sent["input"], "gas": sent["gas"]}
        try:
            self.chain.rpc("eth_call", message, receipt["blockNumber"])
        except TransactionReverted as exc:
            return exc
        return TransactionReverted(NO_REASON)
