"""A job's log as it comes: what a gateway has of it while it runs, and the rest from the verified one when it is over."""

from __future__ import annotations

import codecs
import hashlib

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import Bytes32


class LogReader:
    """Reads the logs of a job's leases, each piece once, cut between letters. That of a retry follows the first one's."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api
        self._lease: Bytes32 | None = None
        self._begin()

    def read(self, lease: Bytes32) -> str:
        """What came since the last time; nothing while the gateway has no log, or does not answer."""
        if lease != self._lease:
            self._lease = lease
            self._begin()
        try:
            content = self._api.log(lease, self._offset)
        except GatewayError:
            return ""
        return self._taken(content)

    def finish(self, lease: Bytes32, log: bytes) -> str:
        """What of the verified log has not been read yet. Nothing where that is another text than what came, as where its middle was left out."""
        if lease != self._lease:
            self._lease = lease
            self._begin()
        if hashlib.sha256(log[: self._offset]).digest() != self._read.digest():
            return ""
        return self._taken(log[self._offset :])

    def _begin(self) -> None:
        self._offset, self._read = 0, hashlib.sha256()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def _taken(self, content: bytes) -> str:
        self._offset += len(content)
        self._read.update(content)
        return self._decoder.decode(content)
