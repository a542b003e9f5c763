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
from typing import Final

from marketplace.chain.blocks import LATEST, PENDING, Chain
from marketplace.chain.fees import FeePolicy, Fees
from marketplace.chain.mining import Included, Mined, find_each, why_reverted
from marketplace.chain.nonces import ANY_BLOCK, FILLING, NonceKeeper
from marketplace.chain.outbox import Outbox, OutboxFile
from marketplace.chain.pool import GONE_FOR_GOOD, PoolAnswer
from marketplace.chain.signing import Key
from marketplace.chain.verbs import Call
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import (
    ChainError,
    ChainUnavailable,
    InsufficientFunds,
    NodeRefused,
    TransactionNotMined,
)
from marketplace.domain.errors import Conflict
from marketplace.domain.ids import Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.library_log import LibraryLog

__all__ = ["FEE_SPREAD_WEI", "Fees", "Mined", "Sender"]

_log = LibraryLog(__name__)

FEE_SPREAD_WEI: Final = 1 << 16
"""A few random wei, never paid, tell calls that are signed again from those that were given up: no two have one hash."""

_PAUSE_SECONDS = 2.0
"""A receipt may come late, from a node that lags, without a new block."""
_UNCLEAR_PAUSE_SECONDS = 0.5
"""Where the node has not clearly taken everything."""
_OUTAGE_PAUSE_SECONDS = 0.25
_NONCE_TRIES = 5
_STUCK_BLOCKS = 12


@dataclass(frozen=True, slots=True)
class _Slot:
    """What a caller waits for: the call of this name at this nonce."""

    nonce: int
    name: str
    is_earlier: bool
    not_before: int = 0
    """The lowest block that it can be in."""


class _NonceTaken(ChainError):
    """Another transaction of the account used the nonce: ours can never be mined, and may be signed again."""

    retryable = True


_Ended = Mined | ChainError


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
        """``confirmations``: how deep, its own block included, another transaction's use of a nonce has to be to be believed;
        and for how long a mined transaction is looked after, where that is more than 128 blocks."""
        self.chain = chain
        self.address = key.address
        self._key = key
        self._outbox: Outbox = outbox if outbox is not None else OutboxFile()
        self._fees = fees or FeePolicy()
        self._nonces = NonceKeeper(chain, key, self._outbox, confirmations=confirmations, fees=self._fees)
        self._lock = threading.RLock()
        self._awaited: set[int] = set()
        """Nonces that a thread of this process waits for: an equal call of another thread is another call."""

    @property
    def wei_per_unit(self) -> int:
        """What a token unit is worth in the chain's coin; 0: not known."""
        return self._fees.wei_per_unit

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
                ended = self._waited_for([slot], deadline, wait_seconds)[slot]
            finally:
                self._awaited.discard(slot.nonce)
            if isinstance(ended, Mined):
                return ended
            if not isinstance(ended, _NonceTaken):
                raise ended
            _log.warning("transaction.nonce_taken", verb=call.verb, nonce=slot.nonce, account=self.address)
        raise ChainUnavailable(f"{call.verb}: other transactions of {self.address} took the nonce {_NONCE_TRIES} times")

    def send_all(self, calls: Sequence[Call], *, wait_seconds: int = 60) -> tuple[Mined | ChainError, ...]:
        """Send calls that do not depend on each other, in this order, written down at once and broadcast in one batch.

        Each is simulated on what is there before the first; what one of them ended with otherwise stands in its place.
        Raises as ``send``: TransactionReverted only from simulating, and then nothing was sent."""
        deadline = monotonic() + wait_seconds
        with self._lock, self._outbox.turn(self.address):
            head = self.chain.head()
            first = self._nonces.next_free(head)
            signed = self._signed([(call, name_of(call), TokenUnits(0)) for call in calls], first, head)
            self._outbox.put(*signed)
            self._nonces.broadcasts.give_all(signed)
            slots = [_Slot(one.nonce, one.name, is_earlier=False, not_before=one.since_block + 1) for one in signed]
            self._awaited.update(slot.nonce for slot in slots)
        try:
            ended = self._waited_for(slots, deadline, wait_seconds)
        finally:
            self._awaited.difference_update(slot.nonce for slot in slots)
        return tuple(ended[slot] for slot in slots)

    def recover(self, *, wait_seconds: int = 60) -> tuple[Mined, ...]:
        """Broadcast again what the outbox holds, and wait for it; to be called once at start.

        Returns what succeeded. What is not mined in time stays, and is found by its name.
        """
        deadline, found = monotonic() + wait_seconds, []
        for slot in {one.nonce: _Slot(one.nonce, one.name, is_earlier=True) for one in self.pending()}.values():
            try:
                ended: _Ended | TransactionNotMined = self._waited_for([slot], deadline, wait_seconds)[slot]
            except TransactionNotMined as exc:
                ended = exc
            if isinstance(ended, Mined):
                found.append(ended)
            else:
                _log.warning("transaction.not_recovered", name=slot.name, nonce=slot.nonce, reason=repr(ended))
        return tuple(found)

    def tend(self, head: BlockRef) -> None:
        """Look after what was sent: once per block, whether or not anybody waits. Costs nothing while nothing is open.

        Raises ChainUnavailable, StoreUnavailable.
        """
        try:
            with self._lock:
                self._nonces.tend(head)
        except NodeRefused as exc:
            raise ChainUnavailable(str(exc)) from exc
        except Conflict:
            _log.info("transactions.tended_elsewhere", account=self.address)

    def pending(self) -> Sequence[Outgoing]:
        """What is not in a block yet, or is, and nobody was told; by nonce."""
        return [one for one in self._outbox.unsettled(self.address, ANY_BLOCK) if one.name != FILLING]

    def earlier(self, call: Call, name: str = "") -> Outgoing | None:
        """A call of this name whose end nobody was told: sending it now would wait for that one."""
        wanted = name or name_of(call)
        return next((one for one in self.pending() if one.name == wanted and not one.is_told), None)

    def acknowledge(self) -> None:
        """Whoever wanted what is mined has been told of it, by other means than the answer to its call."""
        for one in self.pending():
            if one.block_number is not None and one.block_hash is not None and not one.is_told:
                block = BlockRef(one.block_number, one.block_hash, UnixTime(0))
                self._outbox.mined(one.tx_hash, block, is_told=True)

    def stuck_since(self, head: BlockRef) -> int | None:
        """The block since which a transaction has been waiting for too long; None while all move."""
        waiting = [one.since_block for one in self.pending() if one.state is SendingState.UNMINED]
        oldest = min(waiting, default=head.number)
        return oldest if head.number - oldest > _STUCK_BLOCKS else None

    @property
    def foreign(self) -> int:
        """How many nonces of this key were seen to be used by transactions that our outbox does not know."""
        return self._nonces.foreign

    # Beginning

    def _begun(self, call: Call, name: str, stake: TokenUnits, *, again: bool) -> _Slot:
        """The slot of the call that is still out there, or of a new one: simulated, signed, written down, broadcast."""
        with self._lock, self._outbox.turn(self.address):
            head = self.chain.head()
            # Before anything is looked for: what a reorganisation took back is found by its name again.
            first = self._nonces.next_free(head)
            for one in () if again else self._outbox.unsettled(self.address, ANY_BLOCK):
                if one.name == name and not one.is_told and one.nonce not in self._awaited:
                    self._awaited.add(one.nonce)
                    return _Slot(one.nonce, name, is_earlier=True)
            (outgoing,) = self._signed([(call, name, stake)], first, head)
            self._outbox.put(outgoing)
            self._give_first(outgoing)
            self._awaited.add(outgoing.nonce)
            return _Slot(outgoing.nonce, name, is_earlier=False, not_before=outgoing.since_block + 1)

    def _signed(self, wanted: Sequence[tuple[Call, str, TokenUnits]], first: int, head: BlockRef) -> list[Outgoing]:
        """The calls, simulated, at the nonces from ``first`` on. Raises TransactionReverted, InsufficientFunds, FeesTooHigh."""
        estimates = self._estimates([call for call, _, _ in wanted])
        fees = Fees.now(self.chain)
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

    def _estimates(self, calls: Sequence[Call]) -> list[int]:
        """Gas, by running the calls: if one reverts, this says why (TransactionReverted)."""
        messages = [
            {"from": self.address, "data": "0x" + one.input.hex()} | ({"to": one.to} if one.to else {}) for one in calls
        ]
        # On the pending block, so that our own earlier transactions and the time of the block to come count.
        answers = self.chain.batch([("eth_estimateGas", [message, PENDING]) for message in messages])
        if any(isinstance(one, NodeRefused) for one in answers):
            # Some nodes know no pending block.
            answers = self.chain.batch([("eth_estimateGas", [message, LATEST]) for message in messages])
        for one in answers:
            if isinstance(one, ChainError):
                raise one
        return [int(one, 16) for one in answers]

    def _give_first(self, outgoing: Outgoing) -> None:
        """Raises NodeRefused where no pool will take it: then another call takes the nonce, and only one can be mined."""
        answer, words = self._nonces.broadcasts.give(outgoing)
        if answer in GONE_FOR_GOOD:
            self._outbox.dropped(outgoing.tx_hash, words)
            raise NodeRefused("eth_sendRawTransaction", 0, words)
        if answer is PoolAnswer.BELOW_BASE:
            self._nonces.raise_offer(outgoing)

    # Waiting

    def _waited_for(self, slots: Sequence[_Slot], deadline: float, wait_seconds: int) -> dict[_Slot, _Ended]:
        """Look at every block until all are at their end, and care for them meanwhile. A node that is away may return."""
        ended, known = dict[_Slot, _Ended](), max(slot.not_before for slot in slots)
        while True:
            head, away = None, None
            try:
                head = self.chain.head()
                if head.number >= known:
                    ended |= self._look_at([slot for slot in slots if slot not in ended])
                    if len(ended) == len(slots):
                        return ended
                    self.tend(head)
                # After a while without a block, or with another one of its number, it is looked all the same.
                known = 0
            except (ChainUnavailable, NodeRefused) as exc:
                # A no to a question says nothing about the transaction, which is out there all the same.
                away = exc if isinstance(exc, ChainUnavailable) else ChainUnavailable(str(exc))
            left = deadline - monotonic()
            if left <= 0:
                raise away or self._not_mined(next(slot for slot in slots if slot not in ended), wait_seconds)
            self._pause(
                head, min(left, _UNCLEAR_PAUSE_SECONDS if self._nonces.broadcasts.is_unclear else _PAUSE_SECONDS)
            )

    def _pause(self, head: BlockRef | None, most_seconds: float) -> None:
        try:
            if head is not None:
                self.chain.next_head(head, most_seconds)
                return
        except ChainUnavailable:
            pass
        threading.Event().wait(min(most_seconds, _OUTAGE_PAUSE_SECONDS))

    def _look_at(self, slots: Sequence[_Slot]) -> dict[_Slot, _Ended]:
        """How those ended that have: whichever transaction of a nonce is in a block is its end. Raises ChainUnavailable."""
        rows = self._outbox.from_nonce(self.address, min(slot.nonce for slot in slots))
        # The likely ones first; but what was given up may have been mined after all.
        likely_first = sorted(rows, key=lambda one: not one.is_live)
        rivals = [[one for one in likely_first if one.nonce == slot.nonce] for slot in slots]
        ended: dict[_Slot, _Ended] = {}
        told, untold = dict[Bytes32, BlockRef](), dict[Bytes32, BlockRef]()
        for slot, known, included in zip(slots, rivals, find_each(self.chain, rivals), strict=True):
            if included is not None:
                ended[slot] = self._end(slot, included)
                is_own = included.outgoing.name == slot.name
                (told if is_own else untold)[included.outgoing.tx_hash] = included.block
            elif not any(one.is_live and one.name == slot.name for one in known):
                ended[slot] = _NonceTaken()
        for places in (untold, told):
            if places:
                self._outbox.all_mined(places, is_told=places is told)
        for slot in ended:
            self._nonces.given_up.pop(slot.nonce, None)
        return ended

    def _end(self, slot: _Slot, included: Included) -> _Ended:
        """What it did; or, where it is not the slot's own, that the slot's call is still to be done, or never will be."""
        if included.outgoing.name != slot.name:
            why = self._nonces.given_up.get(slot.nonce, "")
            return NodeRefused("eth_sendRawTransaction", 0, why) if why else _NonceTaken()
        if included.has_succeeded:
            return included.mined(is_earlier=slot.is_earlier)
        return why_reverted(self.chain, included)

    def _not_mined(self, slot: _Slot, wait_seconds: int) -> TransactionNotMined:
        found = [one for one in self._outbox.from_nonce(self.address, slot.nonce) if one.nonce == slot.nonce]
        newest = next(one for one in reversed(found) if one.name == slot.name)
        return TransactionNotMined(newest.tx_hash, wait_seconds, self._nonces.broadcasts.said(newest.tx_hash))


def name_of(call: Call) -> str:
    """The name of a call that was given none: what it is, to the last byte."""
    content = (call.to or "").encode() + call.input
    return f"{call.verb} {hashlib.sha256(content).hexdigest()[:32]}"
