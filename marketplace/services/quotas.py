"""How much an account may keep at a gateway: by what it has at stake in the market, which nobody has twice at the same time.

Stake is the free balance and what the market holds for the account's live leases, of either side: a lease that pays for large outputs
makes room for them. Who has less than the least stake shares one pot with all other strangers, because keys cost nothing.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from marketplace.chain.market import MarketContract
from marketplace.domain.errors import OverQuota
from marketplace.domain.ids import Address
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.accounts import AccountDesk
from marketplace.services.offers import OfferDesk
from marketplace.services.participants import Participants
from marketplace.store.board import Board
from marketplace.store.journal.uploads import UploadTable

DAY_SECONDS = 86_400
STRANGERS_BYTES = 1 << 30
"""Of all strangers together."""
BASE_BYTES = 4 << 20
"""What each account has, whatever it has at stake."""
BYTES_PER_TOKEN = 16 << 30
"""For each whole token at stake: 164 MiB for a cent."""
MOST_BYTES = 1 << 40
"""Of one account."""
LEAST_STAKE = TokenUnits(1)
"""Where nobody says otherwise."""


def kept_bytes_for(stake: TokenUnits, decimals: int) -> int:
    """How much may be kept in all for this stake; half as much may come in a day."""
    whole = int(10**decimals)
    return min(MOST_BYTES, BASE_BYTES + BYTES_PER_TOKEN * stake // whole)


@dataclass(frozen=True, slots=True)
class Payer:
    """Who answers for a file, with which stake; and whether it is a stranger, who sends little and takes no place of others."""

    account: Address
    stake: TokenUnits
    is_strange: bool

    @property
    def pot(self) -> Address | None:
        """Out of which room it sends; None is that of all strangers."""
        return None if self.is_strange else self.account


@dataclass(slots=True)
class Reservation:
    """Room that is held for one file while it comes."""

    pot: Address | None = None
    bytes: int = 0


def quotas_over(
    market: MarketContract, uploads: UploadTable, board: Board, least_stake: TokenUnits = LEAST_STAKE
) -> Quotas:
    """The quotas of one market's participants, as its projection and its chain tell their stakes."""
    participants = Participants(market, board)
    offers = OfferDesk(market.chain, market, board)
    return Quotas(
        market, AccountDesk(market.chain, market, board, offers, participants), participants, uploads, least_stake
    )


class Quotas:
    """Says how much room an account has. Threads may share it; what is under way at another gateway it does not know."""

    def __init__(
        self,
        market: MarketContract,
        accounts: AccountDesk,
        participants: Participants,
        uploads: UploadTable,
        least_stake: TokenUnits,
    ) -> None:
        self._market, self._accounts, self._participants = market, accounts, participants
        self._uploads, self._least_stake = uploads, least_stake
        self._decimals = market.terms().token_decimals
        self._lock = threading.Lock()
        self._under_way: Counter[Address | None] = Counter()

    def payer_of(self, sender: Address, represented: Address | None) -> Payer:
        """Of an account; or of one whose delegate it is, which then answers for the file."""
        is_delegate = represented is not None and self._participants.has_delegate(represented, sender)
        account = represented if represented is not None and is_delegate else sender
        stake = self._accounts.stake(account)
        if stake < self._least_stake:  # it may have come since the projection's block
            stake = max(stake, self._market.balance_of(account, at=self._market.chain.head()))
        return Payer(account, stake, stake < self._least_stake)

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Nothing yet: ``reserve`` makes it as large as a file needs. What it holds is given back at the end of the block."""
        held = Reservation()
        try:
            yield held
        finally:
            with self._lock:
                self._under_way[held.pot] -= held.bytes
                if not self._under_way[held.pot]:
                    del self._under_way[held.pot]

    def reserve(self, held: Reservation, payer: Payer, promised: int, most: int, now: UnixTime) -> int:
        """Hold room for a file that promises so many bytes (0: nothing), ``most`` at most; how large it may be. Raises OverQuota."""
        with self._lock:
            left = self._left_of(payer, now) - self._under_way[payer.pot]
            size = min(promised or max(1, left), most)
            if size > left:
                raise OverQuota(payer.account, size, max(0, left))
            held.pot, held.bytes = payer.pot, size
            self._under_way[payer.pot] += size
            return min(left, most)

    def has_room(self, account: Address) -> bool:
        """Whether what the account keeps here is no more than its stake makes room for now."""
        kept = self._uploads.bytes_of(account)
        return kept <= BASE_BYTES or kept <= kept_bytes_for(self._accounts.stake(account), self._decimals)

    def _left_of(self, payer: Payer, now: UnixTime) -> int:
        most = kept_bytes_for(TokenUnits(0) if payer.is_strange else payer.stake, self._decimals)
        today = most // 2 - self._uploads.bytes_of(payer.account, since=UnixTime(now - DAY_SECONDS))
        own = min(most - self._uploads.bytes_of(payer.account), today)
        return min(own, STRANGERS_BYTES - self._uploads.bytes_of_strangers()) if payer.is_strange else own
