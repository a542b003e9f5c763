"""The bars of `make bench PART=exec`."""

from __future__ import annotations

import pytest

from scripts.bench.exec_words import HOST_SECONDS, SSH_ECHO, SSH_RATE, UNPACK_RATE, WARM_SECONDS, missed, words

HELD = {SSH_RATE: 50, SSH_ECHO: 5, UNPACK_RATE: 20, HOST_SECONDS: 0.5, WARM_SECONDS: 1.5}


@pytest.mark.parametrize(
    ("key", "value"), [(SSH_RATE, 49.9), (SSH_ECHO, 5.1), (UNPACK_RATE, 19.9), (WARM_SECONDS, 1.51)]
)
def test_what_misses_its_bar_is_named(key: str, value: float) -> None:
    """A figure on its bar holds it; one beyond is named, and a start in an image is compared with one in the job runtime."""
    assert missed(HELD) == []
    assert missed(HELD | {key: value}) == [key]
    assert set(words()) == set(HELD)
