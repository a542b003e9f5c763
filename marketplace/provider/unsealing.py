"""An agent's own key, and with it the opening of sealed jobs (``marketplace.sealing``).

The agent's recipient stands in its machine descriptions, whose hash is on the chain: no gateway can put its own in its
place. What a client hands over, sealed to it, is the key of one job; it stays in that serving's folder, and goes with it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.work import Work
from marketplace.private_files import OWNERS_FOLDER
from marketplace.provider.home import ServingFolder, write_whole
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.sealing import new_identity, open_work, recipient_of, unseal


def identity_in(home: Path) -> str:
    """The agent's secret key, made the first time: a file that only its owner reads. Raises OSError, and InvalidField for a broken one."""
    home.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
    place = home / "identity"
    if not place.exists():
        with NamedTemporaryFile(dir=home, prefix=".identity-") as fresh:  # made 0600
            fresh.write(new_identity().encode())
            fresh.flush()
            os.fsync(fresh.fileno())
            try:
                os.link(fresh.name, place)  # whole or not at all; the first one stays
            except FileExistsError:
                pass
    return place.read_text().strip()


def recipient_in(home: Path) -> str:
    """To which clients seal the keys of their jobs, for the agent of this home."""
    return recipient_of(identity_in(home))


@dataclass(frozen=True, slots=True)
class Unsealer:
    """Opens sealed work for one agent."""

    home: Path
    is_published: bool
    """Whether the description of the machine names our recipient: without that no client can hand us a key."""

    def opened(self, api: GatewayApi, lease: Bytes32, work: Work, folder: ServingFolder) -> Work | Obstacle:
        """The work with its command, once the client has handed over its key; that is written down for the inputs. Raises a GatewayError."""
        if work.sealed is None:
            return work
        if not self.is_published:
            return Obstacle(ObstacleReason.SEALED_NOT_SUPPORTED, "this machine's description names no recipient")
        try:
            key = folder.job_key.read_text() if folder.job_key.exists() else self._handed_over(api, lease)
            if recipient_of(key) != work.sealed.recipient:
                raise InvalidField("key", "is that of another job")
        except InvalidField as exc:
            return Obstacle(ObstacleReason.KEY_NOT_DELIVERED, str(exc))
        write_whole(folder.job_key, key.encode())
        return open_work(work, key)

    def _handed_over(self, api: GatewayApi, lease: Bytes32) -> str:
        return unseal(api.job_key(lease), identity_in(self.home), "key").decode("ascii", "replace")
