"""Random images against the unpacker, for an hour."""

from __future__ import annotations

import os
import platform
import time

from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, say
from tests.unit.provider.image_fuzz import fuzz

SECONDS = 3_600


def execution() -> Measured:
    """Make images until the time is over. Raises NotHeld, naming seed and round, for the first that does what it must not."""
    until, seed = time.monotonic() + SECONDS, int.from_bytes(os.urandom(4), "big")
    try:
        rounds, whole = fuzz(seed, lambda _: time.monotonic() < until)
    except AssertionError as exc:
        raise NotHeld(str(exc)) from exc
    say("exec", f"seed {seed}: {rounds} images, {whole} of them unpacked, no file of the host's touched")
    return Measured({"exec.fuzzed_images": rounds, "exec.fuzz_escapes": 0}, {"python": platform.python_version()})
