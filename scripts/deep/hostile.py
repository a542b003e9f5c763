"""Every lie of a gateway about every field that SDK and agent read, told to them; and how many there are."""

from __future__ import annotations

import importlib.metadata

from scripts.deep.faults import version
from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, say
from tests.hostile.gateway.telling import questions, tell


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
    return Measured(
        {"hostile.gateway_lies": told},
        {"compute-bourse": version(), "httpx": importlib.metadata.version("httpx"), "msgspec": importlib.metadata.version("msgspec")},
    )  # fmt: skip
