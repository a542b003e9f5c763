"""A short run of the fuzzer that `make deep PART=exec` runs for an hour."""

from __future__ import annotations

from tests.unit.provider.image_fuzz import fuzz


def test_random_layers_change_nothing_outside() -> None:
    """Of a thousand random images each is unpacked or refused with a reason, and the host's files stay as they were."""
    rounds, whole = fuzz(1, lambda made: made < 1_000)

    assert rounds == 1_000
    assert 50 < whole < 950
