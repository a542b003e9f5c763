"""Sending transactions: simulate first, write down before broadcasting, and never do twice what was decided once.

- One writer per key: whoever signs has the outbox's turn, in this process and in all others of the same journal.
- A call that was signed keeps its nonce until another transaction is shown that used it. Of all that was ever signed for a nonce
  at most one is mined: that, and not what a node says about a hash, is why nothing happens twice.
- A call whose end nobody was told is found again by its name, also by a later process, and waited for instead of signed anew.
- The lowest nonce that is not used is always the next to be filled (``nonces``), or everything above would wait for ever.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import structlog

from marketplace.chain.blocks import LATEST, PENDING, Chain
from marketplace.chain.fees import FeePolicy, Fees
from marketplace.chain.mining import Included, Mined, find_included, why_reverted
from marketplace.chain.nonces import ANY_BLOCK, FILLING, NonceKeeper
from marketplace.chain.outbox import Outbox, OutboxFile
from marketplace.chain.pool import GONE_FOR_GOOD, PoolAnswer
from marketplace.chain.signing import Key
from marketplace.chain.verbs import Call
from marketplace.domain.errors import (
    ChainUnavailable,
    InsufficientFunds,
    NodeRefused,
    TransactionNotMined,
    TransactionReverted,
)
from marketplace.domain.models import BlockRef
from marketplace.domain.sending import Outgoing, SendingState
from marketplace.domain.units import TokenUnits

__all__ = ["FEE_SPREAD_WEI", "Fees", "Mined", "Sender"]

_log = structlog.get_logger()

FEE_SPREAD_WEI: Final = 1 << 16
"""A few random wei, never paid, tell calls that are signed again from those that were given up: no two have one hash."""

_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 2.0
"""A receipt may come late, from a node that lags, without a new block."""
_OUTAGE_PAUSE_SECONDS = 0.25
_NONCE_TRIES = 5
_STUCK_BLOCKS = 12


@dataclass(frozen=True, slots=True)
class _Slot:
    """What a caller waits for: the call of this name at this nonce."""

    nonce: int
    name: str
    is_earlier: bool


class _NonceTaken(Exception):
    """Another transaction of the account used the nonce: ours can never be mined, and may be signed again."""


class Sender:
    """Sends one account's transactions. Safe to share between threads.

    Processes that share the outbox take turns. A process with another outbox and the same key is noticed: the loser of a
    nonce simulates and signs again, and ``foreign`` counts.
    """

    def __init__(
        self,
        chain: Chain,
        key: Key,
        outbox: Outbox | None = None,
        *,
        confirmations: int = 1,
        fees: FeePolicy | None = None,
    ) -> None:
        """``confirmations``: blocks, the transaction's included, after which it is not watched any more, and from which on
        another transaction's use of a nonce is believed."""
        self.chain = chain
        self.address = key.address
        self._key = key
        self._outbox: Outbox = outbox if outbox is not None else OutboxFile()
        self._fees = fees or FeePolicy()
        self._nonces = NonceKeeper(chain, key, self._outbox, confirmations=confirmations, fees=self._fees)
        self._lock = threading.RLock()
        self._awaited: set[int] = set()
        """Nonces that a thread of this process waits for: an equal call of another thread is another call."""

    def send(
        self,
        call: Call,
        *,
        wait_seconds: int = 60,
        name: str = "",
        stake: TokenUnits = TokenUnits(0),  # noqa: B008
        again: bool = False,
    ) -> Mined:
        """Send the call and wait until it is in a block.

        ``name``: what it is for; two calls of one name are one until somebody knows how it ended (default: the call itself).
        ``stake``: what is lost if it comes too late, in token units. ``again``: another one, whatever waits.

        Raises TransactionReverted, before anything is sent where the simulation shows it; TransactionNotMined and
        ChainUnavailable, after which the same call may be sent again without doing it twice; FeesTooHigh, InsufficientFunds
        and NodeRefused, after which nothing of it is on its way.
        """
        deadline, wanted = monotonic() + wait_seconds, name or name_of(call)
        for _ in range(_NONCE_TRIES):
            slot = self._begun(call, wanted, stake, again=again)
            try:
                return self._waited_for(slot, deadline, wait_seconds)
            except _NonceTaken:
                _log.warning("transaction.nonce_taken", verb=call.verb, nonce=slot.nonce, account=self.address)
            finally:
                self._awaited.discard(slot.nonce)
        raise ChainUnavailable(f"{call.verb}: other transactions of {self.address} took the nonce {_NONCE_TRIES} times")

    def send_all(self, calls: Sequence[Call], *, wait_seconds: int = 60) -> tuple[Mined | TransactionReverted, ...]:
        """Send calls that do not depend on each other, in this order, written down at once and broadcast in one batch.

        Each is simulated on what is there before the first. Raises as ``send``, TransactionReverted only from simulating."""
        deadline = monotonic() + wait_seconds
        with self._lock, self._outbox.turn(self.address):
            signed = self._signed([(call, name_of(call), TokenUnits(0)) for call in calls])
            self._outbox.put(*signed)
            self._nonces.broadcast_all(signed, self.chain.head())
            slots = [_Slot(one.nonce, one.name, is_earlier=False) for one in signed]
            self._awaited.update(slot.nonce for slot in slots)
        try:
            return tuple(self._ended(slot, deadline, wait_seconds) for slot in slots)
        finally:
            self._awaited.difference_update(slot.nonce for slot in slots)

    def recover(self, *, wait_seconds: int = 60) -> tuple[Mined, ...]:
        """Broadcast again what the outbox holds, and wait for it; to be called once at start.

        Returns what succeeded. What is not mined in time stays, and is found by its name.
        """
        deadline, found = monotonic() + wait_seconds, []
        slots = {one.nonce: _Slot(one.nonce, one.name, is_earlier=True) for one in self.pending()}
        for slot in slots.values():
            try:
                found.append(self._waited_for(slot, deadline, wait_seconds))
            except (_NonceTaken, NodeRefused, TransactionReverted, TransactionNotMined) as exc:
                _log.warning("transaction.not_recovered", name=slot.name, nonce=slot.nonce, reason=repr(exc))
        return tuple(found)

    def tend(self, head: BlockRef) -> None:
        """Look after what was sent: once per block, whether or not anybody waits. Costs nothing while nothing is open.

        Raises ChainUnavailable, StoreUnavailable, Conflict.
        """
        with self._lock:
            self._nonces.tend(head)

    def pending(self) -> Sequence[Outgoing]:
        """What is not in a block yet, or is, and nobody was told; by nonce."""
        return [one for one in self._outbox.unsettled(self.address, ANY_BLOCK) if one.name != FILLING]

    def earlier(self, call: Call, name: str = "") -> Outgoing | None:
        """A call of this name whose end nobody was told: sending it now would wait for that one."""
        wanted = name or name_of(call)
        return next((one for one in self.pending() if one.name == wanted and not one.is_told), None)

    def stuck_since(self, head: BlockRef) -> int | None:
        """The block since which a transaction has been waiting for too long; None while all move."""
        waiting = [one.since_block for one in self.pending() if one.state is SendingState.UNMINED]
        oldest = min(waiting, default=head.number)
        return oldest if head.number - oldest > _STUCK_BLOCKS else None

    @property
    def foreign(self) -> int:
        """How many transactions of this key that are not in our outbox took a nonce of ours."""
        return self._nonces.foreign

    # Beginning

    def _begun(self, call: Call, name: str, stake: TokenUnits, *, again: bool) -> _Slot:
        """The slot of the call that is still out there, or of a new one: simulated, signed, written down, broadcast."""
        with self._lock, self._outbox.turn(self.address):
            for one in () if again else self._outbox.unsettled(self.address, ANY_BLOCK):
                if one.name == name and not one.is_told and one.nonce not in self._awaited:
                    self._awaited.add(one.nonce)
                    return _Slot(one.nonce, name, is_earlier=True)
            (outgoing,) = self._signed([(call, name, stake)])
            self._outbox.put(outgoing)
            self._give_first(outgoing)
            self._awaited.add(outgoing.nonce)
            return _Slot(outgoing.nonce, name, is_earlier=False)

    def _signed(self, wanted: Sequence[tuple[Call, str, TokenUnits]]) -> list[Outgoing]:
        # Estimating runs the calls: if one reverts, this says why.
        estimates = [self._estimate(call) for call, _, _ in wanted]
        fees, head = Fees.now(self.chain), self.chain.head()
        first = self._nonces.next_free(head)
        offer = self._nonces.offer_at(first, fees)
        required = sum(fees.gas_limit(estimate) for estimate in estimates) * (offer.most_wei + FEE_SPREAD_WEI)
        funds = int(self.chain.rpc("eth_getBalance", self.address, LATEST), 16)
        if funds < required:
            raise InsufficientFunds(self.address, required, funds)
        return [
            self._nonces.signed(
                nonce=first + number, to=call.to, content=call.input, gas=fees.gas_limit(estimate), offer=offer,
                spread=secrets.randbelow(FEE_SPREAD_WEI), name=name, verb=call.verb, stake=stake, head=head,
            )
            for number, ((call, name, stake), estimate) in enumerate(zip(wanted, estimates, strict=True))
        ]  # fmt: skip

    def _estimate(self, call: Call) -> int:
        """On the pending block, so that our own earlier transactions and the time of the block to come count."""
        message: dict[str, Any] = {"from": self.address, "data": "0x" + call.input.hex()}
        message |= {"to": call.to} if call.to else {}
        try:
            return int(self.chain.rpc("eth_estimateGas", message, PENDING), 16)
        except NodeRefused:
            # Some nodes know no pending block.
            return int(self.chain.rpc("eth_estimateGas", message, LATEST), 16)
        except (TypeError, ValueError) as exc:
            raise ChainUnavailable(f"the node estimates no gas: {exc!r}") from exc

    def _give_first(self, outgoing: Outgoing) -> None:
        """Raises NodeRefused where no pool will take it: then another call takes the nonce, and only one can be mined."""
        answer, words = self._nonces.broadcast(outgoing)
        if answer in GONE_FOR_GOOD:
            self._outbox.dropped(outgoing.tx_hash, words)
            raise NodeRefused("eth_sendRawTransaction", 0, words)
        if answer is PoolAnswer.BELOW_BASE:
            self._nonces.raise_offer(outgoing, self.chain.head())

    # Waiting

    def _ended(self, slot: _Slot, deadline: float, wait_seconds: int) -> Mined | TransactionReverted:
        try:
            return self._waited_for(slot, deadline, wait_seconds)
        except TransactionReverted as exc:
            return exc
        except _NonceTaken as exc:
            raise ChainUnavailable(f"{slot.name}: another transaction of {self.address} took its nonce") from exc

    def _waited_for(self, slot: _Slot, deadline: float, wait_seconds: int) -> Mined:
        """Look at every block until it is in one, and care for it meanwhile. A node that is away may return."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            head, away = None, None
            try:
                head = self.chain.head()
                included = self._included(slot)
                if included is not None:
                    return self._outcome(slot, included)
                self.tend(head)
            except ChainUnavailable as exc:
                away = exc
            left = deadline - monotonic()
            if left <= 0:
                raise away or self._not_mined(slot, wait_seconds)
            self._pause(head, min(left, pause))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _pause(self, head: BlockRef | None, most_seconds: float) -> None:
        try:
            if head is not None:
                self.chain.next_head(head, most_seconds)
                return
        except ChainUnavailable:
            pass
        threading.Event().wait(min(most_seconds, _OUTAGE_PAUSE_SECONDS))

    def _included(self, slot: _Slot) -> Included | None:
        """Whichever transaction of the nonce is in a block. Raises _NonceTaken, NodeRefused where it is not the call's."""
        rivals = [one for one in self._outbox.from_nonce(self.address, slot.nonce) if one.nonce == slot.nonce]
        # The likely ones first; but what was given up may have been mined after all.
        included = find_included(self.chain, sorted(rivals, key=lambda one: not one.is_live))
        if included is None:
            if not any(one.is_live and one.name == slot.name for one in rivals):
                raise _NonceTaken
            return None
        self._outbox.mined(included.outgoing.tx_hash, included.block)
        if included.outgoing.name != slot.name:
            why = self._nonces.given_up.pop(slot.nonce, "")
            if why:
                raise NodeRefused("eth_sendRawTransaction", 0, why)
            raise _NonceTaken
        return included

    def _outcome(self, slot: _Slot, included: Included) -> Mined:
        """What it did, told from now on. Raises TransactionReverted."""
        tx_hash = included.outgoing.tx_hash
        if not included.has_succeeded:
            reason = why_reverted(self.chain, included)
            self._outbox.told(tx_hash)
            raise reason
        mined = included.mined(is_earlier=slot.is_earlier)
        self._outbox.told(tx_hash)
        return mined

    def _not_mined(self, slot: _Slot, wait_seconds: int) -> TransactionNotMined:
        found = [one for one in self._outbox.from_nonce(self.address, slot.nonce) if one.nonce == slot.nonce]
        newest = next(one for one in reversed(found) if one.name == slot.name)
        return TransactionNotMined(newest.tx_hash, wait_seconds, self._nonces.said(newest.tx_hash))


def name_of(call: Call) -> str:
    """The name of a call that was given none: what it is, to the last byte."""
    content = (call.to or "").encode() + call.input
    return f"{call.verb} {hashlib.sha256(content).hexdigest()[:32]}"
