"""The log on its way to a gateway that says anything about where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.errors import UnreadableAnswer
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime
from marketplace.provider.closing import pump_log
from marketplace.provider.home import AgentHome, ServingFolder

LEASE = Bytes32("0x" + "11" * 32)
LOG = b"0123456789"


class Says(GatewayApi):
    """A gateway that gives these answers, one after the other."""

    def __init__(self, *lengths: int) -> None:
        self.lengths = list(lengths)
        self.sent: list[tuple[int, bytes]] = []

    def append_log(self, lease: Bytes32, offset: int, chunk: bytes) -> int:
        self.sent.append((offset, chunk))
        return self.lengths.pop(0)


@pytest.fixture
def folder(tmp_path: Path) -> ServingFolder:
    home = AgentHome(tmp_path / "home")
    folder = home.serving(LEASE, UnixTime(1))
    folder.make()
    (folder.fresh_run() / "log").write_bytes(LOG)
    home.close()
    return folder


@pytest.mark.parametrize("length", [-1, len(LOG) + 1, 2**80])
def test_an_offset_that_cannot_be_is_refused(folder: ServingFolder, length: int) -> None:
    """The gateway stands somewhere in the log that there is, or it lies."""
    with pytest.raises(UnreadableAnswer, match="a place in the log"):
        pump_log(Says(length), LEASE, folder, 0)


def test_a_gateway_that_has_more_is_believed(folder: ServingFolder) -> None:
    """An agent before us sent a part of it: we go on from there."""
    api = Says(4, 10)

    assert pump_log(api, LEASE, folder, 0) == 10
    assert api.sent == [(0, LOG), (4, LOG[4:])]


def test_a_gateway_that_never_has_anything_is_not_sent_it_for_ever(folder: ServingFolder) -> None:
    """One that stands where it stood is left alone until the next time."""
    api = Says(*([0] * 50))

    assert pump_log(api, LEASE, folder, 0) == 0
    assert len(api.sent) == 1
