"""How much an account may keep at a gateway: by what it has at stake in the market, which nobody has twice.

Stake is the free balance and what the market holds for the account's live leases, of either side: a lease that pays for large outputs
makes room for them. Who has none shares one pot with all other strangers, because keys cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.excess import OverQuota
from marketplace.domain.ids import Address
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.accounts import AccountDesk
from marketplace.services.participants import Participants
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


def kept_bytes_for(stake: TokenUnits, decimals: int) -> int:
    """How much may be kept in all for this stake; half as much may come in a day."""
    whole = int(10**decimals)
    return min(MOST_BYTES, BASE_BYTES + BYTES_PER_TOKEN * stake // whole)


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes an account may still send, and whether it sends as a stranger."""

    left: int
    is_strange: bool


class Quotas:
    """Says how much room an account has."""

    def __init__(self, accounts: AccountDesk, participants: Participants, uploads: UploadTable, decimals: int) -> None:
        self._accounts, self._participants = accounts, participants
        self._uploads, self._decimals = uploads, decimals

    def room_of(self, sender: Address, represented: Address | None, now: UnixTime) -> Room:
        """Of an account, or of one whose delegate it is: by that account's stake."""
        if represented is not None and self._participants.has_delegate(represented, sender):
            return Room(self._left_of(sender, self._accounts.stake(represented), now), False)
        if self._participants.has(sender):
            return Room(self._left_of(sender, self._accounts.stake(sender), now), False)
        own, all_of_them = (
            self._left_of(sender, TokenUnits(0), now),
            STRANGERS_BYTES - self._uploads.bytes_of_strangers(),
        )
        return Room(min(own, all_of_them), True)

    def require(self, room: Room, sender: Address, size: int) -> None:
        """Raise OverQuota where the account has no room for ``size`` bytes."""
        if size > room.left:
            raise OverQuota(sender, size, max(0, room.left))

    def _left_of(self, sender: Address, stake: TokenUnits, now: UnixTime) -> int:
        most = kept_bytes_for(stake, self._decimals)
        today = most // 2 - self._uploads.bytes_of(sender, since=UnixTime(now - DAY_SECONDS))
        return min(most - self._uploads.bytes_of(sender), today)
