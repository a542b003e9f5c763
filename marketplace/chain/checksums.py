"""Addresses as people write them: with a checksum in their capitals (EIP-55), which is made and read here and nowhere else.

An address in lower case, or in upper case, carries no checksum. One in mixed case does, and one slip of the finger in it is found in all but
one of some thousands of cases: whoever typed it meant another account.
"""

from __future__ import annotations

from eth_utils.address import to_checksum_address

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, address


def checksum(account: Address) -> str:
    """The address with its EIP-55 checksum, for people's eyes."""
    return str(to_checksum_address(account))


def address_from_text(text: str, *, field: str = "address") -> Address:
    """An address that a person or a file gives; raise InvalidField where it is none, and where its capitals do not fit (EIP-55)."""
    found, digits = address(text, field=field), text[2:]
    if digits not in (digits.lower(), digits.upper()) and digits != checksum(found)[2:]:
        rule = "its capital letters are not those of its checksum (EIP-55): a character is wrong. Copy it again"
        raise InvalidField(field, rule)
    return found
