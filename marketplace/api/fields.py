"""The kinds of fields that records are made of, each with its bounds. Out of bounds is unreadable, never a number to go on with.

Integers of the ABI are decimal strings (``Uint…``); the small ones are JSON integers, within the width that the contract has for them.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from marketplace.domain.ids import Address, Bytes32, ClassNumber, OfferId, Sha256
from marketplace.domain.units import Bps, GpuCount, Seconds, UnixTime

LAST_MOMENT = 253_402_300_799
"""The end of the year 9999."""
_MOST_EXACT_DIGITS = 40
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,77})")


class Uint(int):
    """A non-negative integer as a decimal string: no sign, no leading zero, no blank, and no wider than ``bits``."""

    bits: ClassVar[int] = 256


class Uint128(Uint):
    bits = 128


class Uint96(Uint):
    bits = 96


class Uint80(Uint):
    bits = 80


class Uint40(Uint):
    bits = 40


class Uint32(Uint):
    bits = 32


class Uint16(Uint):
    bits = 16


def decimal_pattern(most: int) -> str:
    """What matches the integers from 0 to ``most`` in decimal, and nothing else.

    Of 256 bits it matches all, and some that are greater but begin alike: exact patterns of that length overstrain generators of values. So many
    digits are alike that hardly any generator comes upon one of those.
    """
    digits = str(most)
    exact = digits[: _MOST_EXACT_DIGITS // 2] if len(digits) > _MOST_EXACT_DIGITS else digits
    longest = ""
    for place in range(len(exact) - 1, -1, -1):
        low, digit, behind = int(place == 0), int(digits[place]), len(digits) - place - 1
        rest = f"[0-9]{{{behind}}}" if behind else ""
        below = [f"[{low}-{digit - 1}]{rest}"] if digit > low else []
        longest = "|".join([*below, f"{digit}({longest})" if longest else f"{digit}{rest}"])
    shorter = f"|[1-9][0-9]{{0,{len(digits) - 2}}}" if len(digits) > 1 else ""
    return f"^(0{shorter}|{longest})$"


def field_of(kind: type, value: Any) -> Any:
    """What msgspec asks for fields that it does not know; raise ValueError with the rule that is broken."""
    if not issubclass(kind, Uint):
        raise NotImplementedError(f"{kind.__name__} is no kind of field")
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError("must be a non-negative integer as a decimal string")
    number = int(value)
    if number >> kind.bits:
        raise ValueError(f"must be below 2^{kind.bits}")
    return kind(number)


AddressText = Annotated[Address, Meta(pattern=r"^0x[0-9a-f]{40}\Z")]
WordText = Annotated[Bytes32, Meta(pattern=r"^0x[0-9a-f]{64}\Z")]
BlobText = Annotated[Sha256, Meta(pattern=r"^[0-9a-f]{64}\Z")]
SignatureText = Annotated[str, Meta(pattern=r"^0x([0-9a-f]{2})*\Z", max_length=2 + 2 * 4096)]

Instant = Annotated[UnixTime, Meta(ge=0, lt=1 << 40)]
"""Block time, as wide as the contract has it: what is to come may be beyond every calendar."""
Moment = Annotated[UnixTime, Meta(ge=0, le=LAST_MOMENT)]
"""Block time that has been: a calendar has it."""
Duration = Annotated[Seconds, Meta(ge=0, lt=1 << 32)]
BlockNumber = Annotated[int, Meta(ge=0, lt=1 << 53)]
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]
Gpus = Annotated[GpuCount, Meta(ge=0, lt=1 << 16)]
Share = Annotated[Bps, Meta(ge=0, le=10_000)]
OfferNumber = Annotated[OfferId, Meta(ge=0, lt=1 << 40)]
GpuClassNumber = Annotated[ClassNumber, Meta(ge=0, lt=1 << 8)]

Word = Annotated[str, Meta(max_length=200)]
"""A name, a state, a reason."""
Sentence = Annotated[str, Meta(max_length=4000)]
"""What people are told."""

Cursor = Annotated[str, Meta(min_length=1, max_length=400)] | None
"""From where a list goes on; null at its end."""
