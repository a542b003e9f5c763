"""Identifiers: addresses, 32-byte words and sha256 names of blobs. Always lower case inside the project.

EIP-55 checksums need keccak, so they are made and checked in ``marketplace.chain`` only.
"""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from marketplace.domain.errors import InvalidField

Address = NewType("Address", str)
"""``0x`` and 40 lower-case hex digits."""

Bytes32 = NewType("Bytes32", str)
"""``0x`` and 64 lower-case hex digits; an order's id (its EIP-712 digest) is one."""

Sha256 = NewType("Sha256", str)
"""64 lower-case hex digits without ``0x``: the name of a blob."""

OfferId = NewType("OfferId", int)
ClassNumber = NewType("ClassNumber", int)

ZERO_ADDRESS = Address("0x" + "0" * 40)
ZERO_BYTES32 = Bytes32("0x" + "0" * 64)

_ADDRESS = re.compile(r"^0x[0-9a-f]{40}$")
_BYTES32 = re.compile(r"^0x[0-9a-f]{64}$")
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


def address(value: object, *, field: str = "address") -> Address:
    """Read an address in any case, as machines write it. What people write goes through ``chain.checksums``."""
    if isinstance(value, str) and _ADDRESS.fullmatch(value.lower()):
        return Address(value.lower())
    raise InvalidField(field, "must be 0x and 40 hex digits")


def bytes32(value: object, *, field: str = "bytes32") -> Bytes32:
    """Read a 32-byte word in any case."""
    if isinstance(value, str) and _BYTES32.fullmatch(value.lower()):
        return Bytes32(value.lower())
    raise InvalidField(field, "must be 0x and 64 hex digits")


def sha256(value: object, *, field: str = "sha256") -> Sha256:
    """Read the name of a blob, without or with ``0x``."""
    if isinstance(value, str) and _SHA256.fullmatch(value.lower().removeprefix("0x")):
        return Sha256(value.lower().removeprefix("0x"))
    raise InvalidField(field, "must be 64 hex digits")


def sha256_of(content: bytes) -> Sha256:
    return Sha256(hashlib.sha256(content).hexdigest())


def bytes32_of(name: Sha256) -> Bytes32:
    """The form in which the chain holds a blob's name."""
    return Bytes32("0x" + name)


def sha256_in(word: Bytes32) -> Sha256:
    """The blob's name that a word on the chain stands for."""
    return Sha256(word[2:])
