"""A process that writes to a journal and says on its output what was acknowledged; for being killed.

Usage: python -m tests.integration.store.journal_writer URL FIRST COUNT
"""

from __future__ import annotations

import sys

from marketplace.domain.transactions import Outgoing
from marketplace.domain.units import UnixTime
from marketplace.store.journal.operator import OperatorJournal
from tests.unit.store.rows import receipt, signed, word


def main() -> None:
    url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    journal = OperatorJournal(url)
    for salt in range(first, first + count):
        one = signed(salt)
        journal.add_order(one, b"{}", UnixTime(salt))
        journal.outbox.put(Outgoing(one.order.client, salt, "open", "open", "0x00", word(salt), since_block=0))
        journal.add_receipt(receipt(lease=one.id), "provider", "0xaa", UnixTime(salt))
        print(salt, flush=True)


if __name__ == "__main__":
    main()
