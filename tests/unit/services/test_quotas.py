"""Room by stake: what somebody keeps at a gateway costs it something elsewhere."""

from __future__ import annotations

import pytest

from marketplace.domain.units import TokenUnits
from marketplace.services.quotas import BASE_BYTES, MOST_BYTES, kept_bytes_for


@pytest.mark.parametrize(
    ("stake", "kept"),
    [(0, BASE_BYTES), (1, BASE_BYTES + (16 << 30) // 10**6), (10_000, BASE_BYTES + (16 << 30) // 100), (10**6, BASE_BYTES + (16 << 30)), (10**12, MOST_BYTES)],
)  # fmt: skip
def test_room_grows_with_the_stake_and_ends(stake: int, kept: int) -> None:
    """One base unit makes room for some kilobytes, a cent for an image, a token for a model; nobody has it all."""
    assert kept_bytes_for(TokenUnits(stake), 6) == kept
