"""An agent's own key, and with it the opening of sealed jobs (``marketplace.sealing``).

The agent's recipient stands in its machine descriptions, whose hash is on the chain: no gateway can put its own in its
place. What a client hands over, sealed to it, is the key of one job, which stays in that serving's folder and goes with it,
and its secrets, which are never on this machine's disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.job_secrets import Entrusted, read_entrusted
from marketplace.domain.work import Assignment, Work
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

    def opened(self, api: GatewayApi, lease: Bytes32, task: Assignment, folder: ServingFolder) -> Assignment | Obstacle:
        """The job with its command and secrets, once the client has handed them over. A job's key is written down, for the
        inputs; secrets are kept in memory only. Raises a GatewayError.
        """
        work = task.work
        if work.sealed is None and work.secrets is None:
            return task
        if not self.is_published:
            return Obstacle(ObstacleReason.SEALED_NOT_SUPPORTED, "this machine's description names no recipient")
        try:
            found = self._entrusted(api, lease, work, folder)
            key = _checked(found, work)
        except InvalidField as exc:
            return Obstacle(ObstacleReason.KEY_NOT_DELIVERED, str(exc))
        if key is not None:
            write_whole(folder.job_key, key.encode())
            work = open_work(work, key)
        return Assignment(task.spec, work, found.secrets if work.secrets else None)

    def _entrusted(self, api: GatewayApi, lease: Bytes32, work: Work, folder: ServingFolder) -> Entrusted:
        if work.secrets is None and folder.job_key.exists():
            return Entrusted(folder.job_key.read_text())
        return read_entrusted(unseal(api.job_key(lease), identity_in(self.home), "key"))


def _checked(found: Entrusted, work: Work) -> str | None:
    """The key of a sealed job; raise InvalidField where it, or the secrets, are not those that the work names."""
    if work.secrets is not None and (found.secrets is None or found.secrets.named != work.secrets):
        raise InvalidField("secrets", "are not those that the work names")
    if work.sealed is None:
        return None
    if recipient_of(found.key or "") != work.sealed.recipient:
        raise InvalidField("key", "is that of another job")
    return found.key
