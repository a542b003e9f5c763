"""How many transactions of an account a node counts, and when that is believed: a false count must not cost a fortune in empty transfers."""

from __future__ import annotations

from typing import Final

from marketplace.chain.blocks import LATEST, PENDING, Chain
from marketplace.chain.mining import all_of
from marketplace.chain.outbox import Outbox
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.ids import Address
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

MOST_FOREIGN: Final = 16
"""Nonces of others that are believed at once, and holes that are filled."""
_LOOK_BACK_NONCES = 64
_BLOCKS_OF_SURPRISE = 3


class NonceCounts:
    """One account's counts, held against what its outbox knows."""

    def __init__(self, chain: Chain, account: Address, outbox: Outbox) -> None:
        self._chain, self._account, self._outbox = chain, account, outbox
        self._counted = -1
        """The account's count when it was last believed."""
        self._surprised_in: int | None = None
        self.foreign = 0
        """Nonces that were used before we knew of them."""

    def read(self) -> tuple[int, int]:
        """The account's next nonce in the newest block, and behind what waits in the pool. Raises ChainUnavailable."""
        asked = [("eth_getTransactionCount", [self._account, at]) for at in (LATEST, PENDING)]
        try:
            latest, pending = (int(said, 16) for said in all_of(self._chain.batch(asked)))
        except (TypeError, ValueError) as exc:
            raise ChainUnavailable(f"the node does not count transactions: {exc!r}") from exc
        return self._believed(latest, max(latest, pending))

    def _believed(self, latest: int, pending: int) -> tuple[int, int]:
        """The counts, unless they are far above all that is known: those have to be said for some blocks. Raises ChainUnavailable."""
        kept = self._outbox.from_nonce(self._account, max(0, latest - _LOOK_BACK_NONCES))
        known = max([self._counted, *(one.nonce + 1 for one in kept)])
        if pending - max(known, latest) > MOST_FOREIGN:
            raise ChainUnavailable(f"the node says that {pending - latest} transactions of {self._account} wait")
        if self._counted < 0 and kept and known < latest:
            # An outbox that was restored from a backup, or a key that is used elsewhere: what is missing here may be sent again.
            self.foreign += latest - known
            _log.warning("transaction.unknown_nonces", account=self._account, first=known, nonces=latest - known)
        if self._counted >= 0 and latest - known > MOST_FOREIGN:
            number = self._chain.paced_head().number
            self._surprised_in = self._surprised_in or number
            if number - self._surprised_in < _BLOCKS_OF_SURPRISE:
                raise ChainUnavailable(f"the node counts {latest} transactions, and we know of {known}")
        self._surprised_in = None
        self._counted = max(latest, 0)
        return latest, pending
