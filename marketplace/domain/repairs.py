"""What a process had to put right: counted, so that health endpoints and tests can read it."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Repairs:
    """Counts since the process began. All of them 0 is what one hopes for; none of them is an error by itself."""

    undone_blocks: int = 0
    """Blocks that had been read and left the chain."""
    rebuilt: int = 0
    """How often everything was read again from the market's first block."""
    differences: int = 0
    """Facts that were not what the contract says."""
    found: int = 0
    """Of those, how many were put right by reading events again that had been missed."""
    revived: int = 0
    """Things that were over, until the event that ended them left the chain."""

    def plus(self, **more: int) -> Repairs:
        """The counts after some more repairs."""
        return Repairs(**{count.name: getattr(self, count.name) + more.get(count.name, 0) for count in fields(self)})
