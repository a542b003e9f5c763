"""Quantities that must not be mixed up, and the only conversions between money and text.

Money is integer base units of the settlement token. Nothing here, or anywhere near money or usage, is a float.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation, localcontext
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
MAX_DIGITS = 100
"""Enough for every uint256 with its decimals: Decimal's default of 28 digits would round."""

_DURATION = re.compile(r"^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$")


def units_from_text(text: str, decimals: int, *, field: str = "amount") -> TokenUnits:
    """Read a human amount such as ``2.50`` exactly; refuse what has more decimals than the token."""
    try:
        with localcontext(prec=MAX_DIGITS):
            scaled = Decimal(text).scaleb(decimals)
    except InvalidOperation:
        raise InvalidField(field, f"{text!r} is not a decimal number") from None
    if not scaled.is_finite() or scaled < 0 or len(text) > MAX_DIGITS:
        raise InvalidField(field, f"{text!r} is not a non-negative amount")
    if scaled != scaled.to_integral_value():
        raise InvalidField(field, f"{text!r} has more than {decimals} decimals")
    return TokenUnits(int(scaled))


def text_from_units(units: int, decimals: int) -> str:
    """Write base units as a decimal with at least two and at most ``decimals`` places, losing nothing."""
    sign, magnitude = ("-", -units) if units < 0 else ("", units)
    whole, fraction = divmod(magnitude, 10**decimals)
    digits = str(fraction).rjust(decimals, "0").rstrip("0") if decimals else ""
    return f"{sign}{whole}.{digits.ljust(min(2, decimals), '0')}" if decimals else f"{sign}{whole}"


def seconds_from_text(text: str, *, field: str = "duration") -> Seconds:
    """Read ``90``, ``90s``, ``10m``, ``2h30m`` or ``1d`` as whole seconds; refuse zero and anything else."""
    found = _DURATION.match(text)
    parts = [int(part or 0) for part in found.groups()] if found and text else [0, 0, 0, 0]
    total = (
        int(text) if text.isdecimal() else sum(n * size for n, size in zip(parts, (86_400, 3_600, 60, 1), strict=True))
    )
    if total <= 0:
        raise InvalidField(field, f"{text!r} is not a duration such as 90s, 10m or 2h30m")
    return Seconds(total)


def text_from_seconds(seconds: int) -> str:
    """Write a duration as ``2h 30m`` or ``45s``, the two largest parts that are not zero, rounded down."""
    parts = []
    for size, letter in ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")):
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
