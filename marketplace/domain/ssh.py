"""A job's machine by ssh: the keys that may, the machine's own key, and why somebody is told no.

The errors are part of the tree in ``domain.errors``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime

MOST_SSH_KEYS: Final = 16
"""Of those who may sit at one job."""
MOST_SSH_KEY_LETTERS: Final = 1024
"""An RSA key of 4,096 bits has some 720."""

SSH_KEY_PATTERN: Final = (
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
    r" [A-Za-z0-9+/]+={0,2}"
)


def checked_ssh_key(line: str, field: str) -> str:
    """A public key as OpenSSH writes it, in its two words; a spec is public, and a comment would name people. Raises InvalidField."""
    if len(line) > MOST_SSH_KEY_LETTERS or not re.fullmatch(SSH_KEY_PATTERN, line):
        raise InvalidField(
            field, f"must be a public key of OpenSSH in two words, of at most {MOST_SSH_KEY_LETTERS} letters"
        )
    return line


@dataclass(frozen=True, slots=True)
class HostKey:
    """The public key by which the machine of one lease is known to those who sit at it, until a block time."""

    lease: Bytes32
    key: str
    """In the two words of OpenSSH."""
    valid_until: UnixTime


@dataclass(frozen=True, slots=True)
class SignedHostKey:
    """A host key with the signature of whoever speaks for the lease's provider (``chain.statements``)."""

    host_key: HostKey
    signature: str


class EntryReason(StrEnum):
    """What stood in the way into a running job."""

    JOB_GONE = "job_gone"
    """It is over, or its provider has it no more."""
    JOB_NOT_READY = "job_not_ready"
    """Its sandbox is still being made: again in a moment."""
    ENTRY_FAILED = "entry_failed"
    """The machine could not make a process in there: the job may have used up its processes or its memory."""
    PORT_CLOSED = "port_closed"
    """Nothing in the job listens on that port."""
    PORT_TAKEN = "port_taken"
    """Something in the job listens on that port already."""
    NO_SSH = "no_ssh"
    """The job was ordered without a key for ssh."""
    NO_RELAY = "no_relay"
    """The gateway names no relay."""
    HOST_KEY = "host_key"
    """The key of the machine is not signed by the provider that the chain names: somebody else may be there."""
    TOO_MANY = "too_many"
    """As many as one job may have at a time."""


class EntryRefused(MarketplaceError):
    """There is no way into the job now."""

    def __init__(self, why: EntryReason, detail: str) -> None:
        super().__init__(f"{why}: {detail}")
        self.why, self.detail = why, detail

    @property
    def reason(self) -> str:
        return str(self.why)
