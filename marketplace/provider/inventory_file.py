"""The inventory's file, read again while the agent runs: what is valid is in force, what is not changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import structlog

from marketplace.domain.errors import ConfigError
from marketplace.provider.gpus.rig import GpuRig
from marketplace.provider.inventory import Inventory, load_inventory

_log = structlog.get_logger()

_Look = tuple[int, int, int] | None


class InventoryFile:
    """One file, and the inventory that it said when it was last valid."""

    def __init__(
        self,
        path: Path,
        *,
        decimals: int,
        recipient: str | None = None,
        check: Callable[[Inventory], None] = lambda _: None,
        rig: GpuRig | None = None,
    ) -> None:
        """Raises ConfigError, which names the field and the rule: an agent does not start with a broken file.

        ``recipient``: the agent's, which its machine descriptions name. ``check`` raises ConfigError for what cannot be offered on this machine; at the start that is asked elsewhere. ``rig``: from whose last look
        GPUs are picked.
        """
        self._check = check
        self.path = path
        self.problem = ""
        """Why the file's newest content is not in force; empty where it is."""
        self._decimals, self._recipient, self._rig = decimals, recipient, rig or GpuRig()
        self._seen = self._taken = self._look()
        self.inventory: Inventory = self._read()

    def look(self, *, is_asked: bool = False) -> bool:
        """Read the file if it has changed, or if that is asked for; whether another inventory is in force now. Asks the disk for one stat.

        It is also read again when the driver shows GPUs and has shown none before: what was picked by number gets its UUID. Not when one
        goes: the offer is held to the GPU that it had. A file that differs from what was seen the last time is still being written, perhaps: half of it may be valid, and
        would withdraw the offers of the other half. It is read at the next look, if it has not changed again.
        """
        seen, before = self._look(), self._seen
        self._seen = seen
        has_driver_come_up = not self._had_gpus and bool(self._rig.seen.gpus)
        if not (is_asked or has_driver_come_up) and (seen == self._taken or seen != before):
            return False
        self._taken = seen
        try:
            found = self._read()
            self._check(found)
        except ConfigError as exc:
            self.problem = "; ".join(exc.problems)
            _log.error("inventory.refused", why=self.problem, advice="the one before stays in force; correct the file")
            return False
        is_another, self.inventory, self.problem = found != self.inventory, found, ""
        _log.info("inventory.read_again", offers=len(found.offers), is_another=is_another)
        return is_another

    def _read(self) -> Inventory:
        self._had_gpus = bool(self._rig.seen.gpus)
        return load_inventory(self.path, decimals=self._decimals, recipient=self._recipient, seen=self._rig.seen)

    def _look(self) -> _Look:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
