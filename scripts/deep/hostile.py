"""Every lie of a gateway about every field that SDK and agent read, of a provider and of a client: told to them; and how many there are."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from scripts.deep.faults import version
from scripts.deep.figures import Measured
from scripts.deep.tools import NotHeld, run, say
from tests.hostile.client import lying as of_clients
from tests.hostile.gateway.telling import questions, tell
from tests.hostile.provider import lying as of_providers

PAID = (
    "tests/hostile/gateway/test_pay.py",
    "tests/hostile/gateway/test_charged.py",
    "tests/hostile/provider/test_signing.py",
    "tests/hostile/client/test_beside.py",
)


def hostile() -> Measured:
    """Tell them all; a single one that is neither refused nor harmless fails the part."""
    told, wrongs = _told()
    if wrongs:
        raise NotHeld("\n".join(wrongs))
    # They compare every balance to the unit, and fail where one is missing.
    run([sys.executable, "-m", "pytest", "-q", "-n0", *PAID], seconds=900)
    return Measured(
        {**told, "hostile.units_lost": 0},
        {"compute-bourse": version(), "httpx": importlib.metadata.version("httpx"), "msgspec": importlib.metadata.version("msgspec")},
    )  # fmt: skip


class Counted(Protocol):
    """What came of the lies about one subject."""

    refused: int
    harmless: int
    wrongs: list[str]

    @property
    def told(self) -> int:
        """How many there were."""


def _told() -> tuple[dict[str, int], list[str]]:
    """How many lies each kind of liar has told, and what was wrong with any of them."""
    with TemporaryDirectory() as folder:
        liars: dict[str, Mapping[str, Counted]] = {
            "gateway": {name: tell(question) for name, question in questions().items()},
            "provider": of_providers.all_of_them(Path(folder, "provider")),
            "client": of_clients.all_of_them(Path(folder, "client")),
        }
    wrongs = list[str]()
    for liar, subjects in liars.items():
        for subject, verdicts in subjects.items():
            wrongs += [f"{liar}, {subject}: {wrong}" for wrong in verdicts.wrongs]
            told = f"{verdicts.refused} refused, {verdicts.harmless} harmless, {len(verdicts.wrongs)} wrong"
            say("hostile", f"{liar}, {subject}: {told}")
    numbers = {f"hostile.{liar}_lies": sum(one.told for one in subjects.values()) for liar, subjects in liars.items()}
    return numbers, wrongs
