"""Every lie of a provider to the client that is to sign for it: refused with a typed error, or within every bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.client.receipt_checks import ResultFolder
from marketplace.domain.errors import GatewayError
from marketplace.domain.ids import sha256_of
from tests.hostile.provider import lying
from tests.hostile.shelf import shelf
from tests.hostile.verdicts import Verdicts

KINDS: dict[str, tuple[Callable[[Path], Verdicts], int]] = {
    "results": (lying.about_results, 500),
    "receipts": (lambda _: lying.about_receipts(), 40),
    "parts": (lying.about_parts, 15),
    "archives": (lying.about_archives, 40),
    "machines": (lambda _: lying.about_machines(), 300),
    "declines": (lambda _: lying.about_declines(), 150),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_lie_is_refused_or_harmless(kind: str, tmp_path: Path) -> None:
    """Missing, null, negative, huge, of a wrong type, another's: nothing is signed for it, written outside, or too long to be shown."""
    tell, least = KINDS[kind]
    verdicts = tell(tmp_path)

    assert verdicts.wrongs == []
    assert verdicts.told >= least


def test_what_never_was_complete_is_dropped(tmp_path: Path) -> None:
    """A provider that names one result after the other, each with a part that is missing, leaves no more than one of them on the disk."""
    first, missing = lying.RESULT.outputs[0], sha256_of(b"nobody has this")
    blobs = dict(lying.BLOBS)
    with shelf(blobs) as api:
        folder = ResultFolder(tmp_path, api, lying.PART)
        for number in range(20):
            junk = f"{number}".encode() * lying.PART
            blobs[sha256_of(junk[: lying.PART])] = junk[: lying.PART]
            told = replace(first, bytes=2 * lying.PART, parts=(sha256_of(junk[: lying.PART]), missing))
            with pytest.raises(GatewayError):
                folder.fetch(replace(lying.RESULT, outputs=(told,)), lying.LEASE)

            assert len(list(tmp_path.iterdir())) == 1
        folder.fetch(lying.RESULT, lying.LEASE)

    assert {path.name for path in tmp_path.iterdir()} == set(lying.BLOBS)
