"""An account's nonces: which is next, and how those that wait get into a block.

The lowest unused nonce is always filled: by the bytes that are kept for it, else by what is wanted now, else by an empty transfer to
oneself. What waits too long, or offers less than gas costs, is replaced by the same call at a higher price; so is what stands
below it, at its urgency: a claim behind a cheap call is as late as that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from marketplace.chain.blocks import Chain
from marketplace.chain.broadcasting import Broadcaster
from marketplace.chain.fees import TRANSFER_GAS, FeeOffer, FeePolicy, Fees, patience_of
from marketplace.chain.mining import find_included, has_left, has_passed, user_of_nonce
from marketplace.chain.nonce_counts import MOST_FOREIGN, NonceCounts
from marketplace.chain.outbox import Outbox
from marketplace.chain.signing import Key, read_transaction
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, FeesTooHigh
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing, SendingState
from marketplace.domain.units import UnixTime
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

FILLING: Final = "fill"
"""The name of empty transfers."""
ANY_BLOCK: Final = 1 << 62
"""Above every block: of what is unsettled, only what is unmined or untold."""

_WATCHED_BLOCKS = 128
"""For so long at least a mined transaction is looked after: as many blocks as whoever follows the chain can take back."""
_MOST_RIVALS = 24
"""Transactions signed for one nonce; 12.5 % more each is a price sixteen times as high."""
_BLOCKS_BETWEEN_SEARCHES = 8
_BLOCKS_UNTIL_GIVEN_UP = 64
"""Blocks after which a transaction is given up whose nonce is used, by nobody knows what: no node shows that block any more."""


class NonceKeeper:
    """Keeps one account's nonces. Not locked: ``Sender`` calls it under its own lock, and what signs in the outbox's turn."""

    def __init__(self, chain: Chain, key: Key, outbox: Outbox, *, confirmations: int, fees: FeePolicy) -> None:
        self._chain, self._key, self._outbox, self._policy = chain, key, outbox, fees
        self._account: Address = key.address
        self._confirmations = confirmations
        self._counts = NonceCounts(chain, key.address, outbox)
        self.broadcasts = Broadcaster(chain)
        self._tended: Bytes32 | None = None
        self._gaps: dict[int, int] = {}
        self._stood_at: dict[Bytes32, BlockRef] = {}
        """A head that a mined transaction's block was seen to stand below, where no headers prove it."""
        self._looks: dict[int, tuple[int, int]] = {}
        """By nonce: the block in which its use was first noticed, and the last in which it was looked for who used it."""
        self.given_up: dict[int, str] = {}
        """Why an empty transfer takes the place of a call."""
        self._overtaken = 0

    @property
    def foreign(self) -> int:
        """Nonces that somebody else used."""
        return self._overtaken + self._counts.foreign

    # The next one

    def next_free(self, head: BlockRef) -> int:
        """The lowest nonce that is nobody's. Broadcasts what is kept below it: a gap would hold up whatever comes."""
        count, pending = self._counts.read()
        kept = _by_nonce(self._outbox.from_nonce(self._account, count))
        nonce = count
        while nonce in kept or nonce < pending:
            nonce += 1
        for number in sorted(kept):
            if number < nonce:
                self._bring_back(kept[number], head)
                self.broadcasts.give_if_due(kept[number][-1])
            else:
                # A hole below it is about to be filled: pools forget what stands behind one.
                self.broadcasts.make_due(kept[number][-1].tx_hash)
        return nonce

    def offer_at(self, nonce: int, fees: Fees) -> FeeOffer:
        """What a new transaction offers; more than what was given up at this nonce and may be in a pool all the same."""
        offer = fees.offer(self._policy.most_wei)
        for rival in self._outbox.from_nonce(self._account, nonce):
            if rival.nonce == nonce:
                offer = _offer_of(rival).raised(fees, self._policy.most_wei) or offer
        return offer

    def signed(
        self,
        *,
        nonce: int,
        to: Address | None,
        content: bytes,
        gas: int,
        offer: FeeOffer,
        spread: int,
        name: str,
        verb: str,
        stake: int,
        head: BlockRef,
        is_told: bool = False,
    ) -> Outgoing:
        """The transaction, not written down yet."""
        signed = self._key.sign_transaction(
            {
                "type": 2,
                "chainId": self._chain.chain_id,
                "nonce": nonce,
                # eth-account wants a checksum, or bytes.
                "to": bytes.fromhex(to[2:]) if to else b"",
                "value": 0,
                "data": content,
                "gas": gas,
                "maxPriorityFeePerGas": offer.tip_wei,
                "maxFeePerGas": offer.most_wei + spread,
            }
        )
        since = head.number
        return Outgoing(self._account, nonce, name, verb, signed.raw, signed.tx_hash, since, stake, is_told=is_told)

    # Looking after what waits

    def tend(self, head: BlockRef) -> None:
        """Once per head; see the module. Raises ChainUnavailable, and is run again at the next call then."""
        if head.hash == self._tended:
            self._repeat()
            return
        if not all(self._stands(one, head) for one in self._open_at(head)):
            with self._outbox.turn(self._account):
                self._mend(self._open_at(head), head)
        elif not self._open_at(head):
            self._forget()
        self._tended = head.hash

    def _stands(self, one: Outgoing, head: BlockRef) -> bool:
        """Whether it is mined in a block that the headers seen since then prove to be one of this head's ancestors."""
        if one.block_number is None or one.block_hash is None:
            return False
        seen = self._stood_at.get(one.tx_hash) or BlockRef(one.block_number, one.block_hash, UnixTime(0))
        return self._chain.headers_between(seen, head) is not None

    def _open_at(self, head: BlockRef) -> list[Outgoing]:
        """What is not mined, or not for long. What is mined and untold waits for who wanted it, and needs no care."""
        watched = head.number - max(self._confirmations, _WATCHED_BLOCKS)
        rows = self._outbox.unsettled(self._account, watched)
        return [one for one in rows if one.block_number is None or one.block_number > watched]

    def _repeat(self) -> None:
        """At a head that was seen before, only what the node did not clearly take is given to it again."""
        if self.broadcasts.is_unclear:
            for one in self._outbox.unsettled(self._account, ANY_BLOCK):
                if self.broadcasts.said(one.tx_hash) and one.state is SendingState.UNMINED:
                    self.broadcasts.give_if_due(one)

    def _forget(self) -> None:
        self.broadcasts.forget()
        for memory in (self._gaps, self._looks, self._stood_at):
            memory.clear()

    def _mend(self, rows: Sequence[Outgoing], head: BlockRef) -> None:
        count, pending = self._counts.read()
        self._bring_back(rows, head)
        rows = self._open_at(head)
        kept = _by_nonce(self._outbox.from_nonce(self._account, count))
        for nonce, rivals in _by_nonce(one for one in rows if one.state is SendingState.UNMINED).items():
            if nonce < count:
                self._settle_passed(nonce, rivals, head)
        # What is mined and not counted yet is a node's that lags.
        open_ = {nonce: rivals for nonce, rivals in kept.items() if not _is_mined(rivals)}
        # Not "<": a node that named a block far in the future must not be waited for till then.
        is_late = any(rivals[-1].since_block != head.number for rivals in open_.values())
        fees = Fees.now(self._chain) if is_late else None
        if fees is not None:
            self._fill_gaps(range(count, max(kept)), kept, pending, fees, head)
        for nonce in sorted(open_):
            self._push(open_, nonce, fees, head)

    def _bring_back(self, rows: Sequence[Outgoing], head: BlockRef) -> None:
        """What was mined in a block that has left the chain: in another block by now, or taken back where no receipt is left.

        Also where its nonce is used all the same, by whatever came instead: else both would come back when that one leaves, too."""
        for one in rows:
            if one.state is not SendingState.MINED or self._stands(one, head):
                continue
            if (is_gone := has_left(self._chain, one)) is False:
                self._stood_at[one.tx_hash] = head
            elif is_gone:
                self._take_back(one)

    def _take_back(self, one: Outgoing) -> None:
        self._stood_at.pop(one.tx_hash, None)
        if included := find_included(self._chain, [one]):
            self._outbox.mined(one.tx_hash, included.block)
        else:
            _log.warning("transaction.taken_back", verb=one.verb, nonce=one.nonce, tx_hash=one.tx_hash)
            self._outbox.taken_back(one.tx_hash)
            self.broadcasts.make_due(one.tx_hash)

    def _settle_passed(self, nonce: int, rivals: Sequence[Outgoing], head: BlockRef) -> None:
        """The account's count says that the nonce is used: by one of ours, or by another that is shown."""
        everything = [one for one in self._outbox.from_nonce(self._account, nonce) if one.nonce == nonce]
        included = find_included(self._chain, everything)
        if included is not None:
            self._outbox.mined(included.outgoing.tx_hash, included.block)
            return
        confirmed = head.number - self._confirmations + 1
        if not has_passed(self._chain, self._account, nonce, confirmed):
            return  # Not deep enough to say anything.
        first, last = self._looks.get(nonce, (head.number, -_BLOCKS_BETWEEN_SEARCHES))
        user = None
        if head.number >= last + _BLOCKS_BETWEEN_SEARCHES:
            since = min(one.since_block for one in rivals)
            try:
                user = user_of_nonce(self._chain, self._account, nonce, since=since, upto=confirmed)
            except ChainUnavailable as exc:  # it contradicts itself: nothing follows, and other nonces do not wait
                _log.warning("transaction.user_not_shown", nonce=nonce, error=str(exc))
                return
            self._looks[nonce] = first, head.number
            if user in {one.tx_hash for one in everything}:
                return  # It is ours; the receipt will come.
        if user is None and head.number - first < _BLOCKS_UNTIL_GIVEN_UP:
            return
        self._overtaken += 1
        for one in rivals:
            _log.warning("transaction.dropped", verb=one.verb, nonce=nonce, used_by=user)
            self._outbox.dropped(one.tx_hash, f"its nonce was used by {user or 'another transaction'}")

    def _fill_gaps(
        self, nonces: range, kept: Mapping[int, Sequence[Outgoing]], pending: int, fees: Fees, head: BlockRef
    ) -> None:
        """Put an empty transfer where nothing is known, from the second block on: another process may just be sending."""
        missing = [nonce for nonce in nonces if nonce not in kept]
        if len(missing) > MOST_FOREIGN:
            _log.error("transaction.gap_too_wide", account=self._account, first=missing[0], nonces=len(missing))
            return
        for nonce in nonces:
            if nonce in kept or nonce < pending:
                self._gaps.pop(nonce, None)
            elif self._gaps.setdefault(nonce, head.number) < head.number:
                self._fill(nonce, fees, head)

    def _fill(self, nonce: int, fees: Fees, head: BlockRef) -> None:
        try:
            offer = self.offer_at(nonce, fees)
        except FeesTooHigh:
            return  # Not even this may be paid for now.
        filling = self.signed(
            nonce=nonce, to=self._account, content=b"", gas=TRANSFER_GAS, offer=offer, spread=0, name=FILLING,
            verb=FILLING, stake=0, head=head, is_told=True,
        )  # fmt: skip
        self._outbox.put(filling)
        _log.warning("transaction.gap_filled", nonce=nonce, tx_hash=filling.tx_hash)
        self.broadcasts.give(filling)

    # One nonce

    def _push(self, kept: Mapping[int, Sequence[Outgoing]], nonce: int, fees: Fees | None, head: BlockRef) -> None:
        """Bring the nonce's newest transaction into the pool, or a better one."""
        newest = kept[nonce][-1]
        if fees is None:
            self.broadcasts.give_if_due(newest)
            return
        said = read_transaction(newest.raw)
        if newest.name != FILLING and (said.gas > fees.block_gas_limit or self.broadcasts.is_hopeless(newest.tx_hash)):
            words = (
                self.broadcasts.said(newest.tx_hash)
                or f"it may use {said.gas} gas, and a block has {fees.block_gas_limit}"
            )
            self.given_up[nonce] = words
            self._fill(nonce, fees, head)
            return
        behind = [rivals[-1] for number, rivals in kept.items() if number >= nonce]
        waited = head.number - newest.since_block
        is_due = not 0 <= waited < min(patience_of(one.verb) for one in behind) and len(kept[nonce]) < _MOST_RIVALS
        if not (is_due or said.most_fee_wei < fees.base_wei) or not self._raised(newest, behind, fees, head):
            self.broadcasts.give_if_due(newest)

    def raise_offer(self, outgoing: Outgoing) -> None:
        """Sign it again at once for more, where the settings allow it, and the node says what gas costs: else ``tend`` will."""
        try:
            self._raised(outgoing, [outgoing], Fees.now(self._chain), self._chain.head())
        except ChainError as exc:
            _log.info("transaction.not_raised", verb=outgoing.verb, nonce=outgoing.nonce, error=str(exc))

    def _raised(self, newest: Outgoing, behind: Sequence[Outgoing], fees: Fees, head: BlockRef) -> bool:
        """Replace it by the same call for more, as far as what waits behind it is worth; whether that was possible."""
        said, offer = read_transaction(newest.raw), _offer_of(newest)
        cap = max(self._policy.cap_wei(one.stake, said.gas, offer) for one in behind)
        higher = offer.raised(fees, cap)
        if higher is None:
            return False
        replacement = self.signed(
            nonce=newest.nonce, to=said.to, content=bytes.fromhex(said.input[2:]), gas=said.gas, offer=higher, spread=0,
            name=newest.name, verb=newest.verb, stake=newest.stake, head=head, is_told=newest.is_told,
        )  # fmt: skip
        self._outbox.put(replacement)
        _log.info(
            "transaction.replaced", verb=newest.verb, nonce=newest.nonce, most_wei=higher.most_wei,
            tx_hash=replacement.tx_hash,
        )  # fmt: skip
        self.broadcasts.give(replacement)
        return True


def _by_nonce(rows: Iterable[Outgoing]) -> dict[int, list[Outgoing]]:
    """What is live, by nonce, oldest first."""
    found: dict[int, list[Outgoing]] = {}
    for one in rows:
        if one.is_live:
            found.setdefault(one.nonce, []).append(one)
    return found


def _is_mined(rivals: Iterable[Outgoing]) -> bool:
    return any(one.state is SendingState.MINED for one in rivals)


def _offer_of(outgoing: Outgoing) -> FeeOffer:
    said = read_transaction(outgoing.raw)
    return FeeOffer(said.most_fee_wei, said.tip_wei)
