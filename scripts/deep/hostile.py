"""Every lie of a gateway about every field that SDK and agent read, told to them; and how many there are."""

from __future__ import annotations

import importlib.metadata
import sys

from scripts.deep.faults import version
from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, run, say
from tests.hostile.gateway.telling import questions, tell

PAID = ("tests/hostile/gateway/test_pay.py", "tests/hostile/gateway/test_charged.py")


def hostile() -> Measured:
    """Tell them all; a single one that is neither refused nor harmless fails the part."""
    told, wrongs = 0, list[str]()
    for name, question in questions().items():
        verdicts = tell(question)
        told += verdicts.told
        wrongs += [f"{name}: {wrong}" for wrong in verdicts.wrongs]
        say(
            "hostile", f"{name}: {verdicts.refused} refused, {verdicts.harmless} harmless, {len(verdicts.wrongs)} wrong"
        )
    if wrongs:
        raise NotHeld("\n".join(wrongs))
    # They compare every balance to the unit, and fail where one is missing.
    run([sys.executable, "-m", "pytest", "-q", "-n0", *PAID], seconds=900)
    return Measured(
        {"hostile.gateway_lies": told, "hostile.units_lost": 0},
        {"compute-bourse": version(), "httpx": importlib.metadata.version("httpx"), "msgspec": importlib.metadata.version("msgspec")},
    )  # fmt: skip
