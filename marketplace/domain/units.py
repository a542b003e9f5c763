"""Quantities that must not be mixed up, and the only conversions between money and text.

Money is integer base units of the settlement token. Nothing here, or anywhere near money or usage, is a float.

What people and files write is read by one rule: ASCII digits, and in an amount one point between digits. Python's own readers take more
(``1e3``, ``1_0``, ``٣``, ``+1``, blanks), and so a slip of the finger would be an amount.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NewType

from marketplace.domain.errors import InvalidField

TokenUnits = NewType("TokenUnits", int)
"""Base units of the settlement token (a TestDollar has 1,000,000 to the dollar)."""

PricePerGpuHour = NewType("PricePerGpuHour", int)
"""Token base units for one GPU for one hour (P-02)."""

Seconds = NewType("Seconds", int)
"""A duration in whole seconds."""

UnixTime = NewType("UnixTime", int)
"""An instant: block time in whole seconds since 1970."""

Bps = NewType("Bps", int)
"""A share in basis points: 10,000 is the whole."""

GpuCount = NewType("GpuCount", int)
GpuSeconds = NewType("GpuSeconds", int)

BPS_WHOLE = 10_000
SECONDS_PER_HOUR = 3_600
COIN_DECIMALS = 18
"""Every chain counts its own coin in wei."""

MAX_DIGITS = 100
"""Enough for every uint256 with its decimals."""

MAX_LEASE_SECONDS = 2**32 - 1
"""What a lease's word holds."""

MAX_SECONDS = 2**40 - 1
"""Every instant and every duration of the contract fits."""

_LONGEST_QUOTE = 60
_PARTS = (86_400, 3_600, 60, 1)
"""Seconds of a day, an hour, a minute and a second."""
_WHOLE = re.compile(r"[0-9]+")
_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")


def whole_from_text(text: str, *, field: str, least: int = 0, most: int | None = None) -> int:
    """Read a whole number such as ``12``; raise InvalidField for anything but ASCII digits, and for one out of bounds."""
    if not _WHOLE.fullmatch(text) or len(text) > MAX_DIGITS:
        raise InvalidField(field, f"{_quoted(text)} is not a whole number written in digits, such as 12")
    number = int(text)
    if number < least or (most is not None and number > most):
        raise InvalidField(
            field, f"is {number}; it must be at least {least}" + (f" and at most {most}" if most else "")
        )
    return number


def units_from_text(text: str, decimals: int, *, field: str = "amount") -> TokenUnits:
    """Read a human amount such as ``2.50`` exactly; raise InvalidField for any other form, and for more decimals than the token has."""
    found = _AMOUNT.fullmatch(text)
    if found is None or len(text) > MAX_DIGITS:
        raise InvalidField(
            field, f"{_quoted(text)} is not an amount: digits, and one point between digits, such as 2.50"
        )
    whole, fraction = found[1], (found[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise InvalidField(field, f"{_quoted(text)} has more than {decimals} decimals")
    return TokenUnits(int(whole + fraction.ljust(decimals, "0")))


def text_from_units(units: int, decimals: int) -> str:
    """Write base units as a decimal with at least two and at most ``decimals`` places, losing nothing."""
    sign, magnitude = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(magnitude, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits.ljust(min(2, decimals), '0')}" if decimals else f"{sign}{whole}"


def seconds_from_text(text: str, *, field: str = "duration") -> Seconds:
    """Read ``90``, ``90s``, ``10m``, ``2h30m`` or ``1d`` as whole seconds; refuse zero and anything else."""
    found = _DURATION.fullmatch(f"{text}s" if _WHOLE.fullmatch(text) else text)
    if found is None or not text or len(text) > MAX_DIGITS:
        raise InvalidField(field, f"{_quoted(text)} is not a duration such as 90s, 10m or 2h30m")
    total = sum(int(part or 0) * size for part, size in zip(found.groups(), _PARTS, strict=True))
    if not 0 < total <= MAX_SECONDS:
        raise InvalidField(field, f"{_quoted(text)} must be at least one second, and fewer than 2^40")
    return Seconds(total)


def text_from_seconds(seconds: int) -> str:
    """Write a duration as ``2h 30m`` or ``45s``, the two largest parts that are not zero, rounded down."""
    parts = []
    for size, letter in zip(_PARTS, "dhms", strict=True):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{letter}")
    return " ".join(parts[:2]) or "0s"


def text_from_bps(share: int) -> str:
    """Write a share of basis points as percent, losing nothing: ``98.07 %``."""
    whole, fraction = divmod(share, 100)
    return f"{whole}.{fraction:02d} %"


def iso_from_time(at: int) -> str:
    """Write an instant as ISO-8601 UTC, for the wire."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quoted(text: str) -> str:
    """What somebody wrote, as it was, but not all of a novel."""
    return ascii(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")
