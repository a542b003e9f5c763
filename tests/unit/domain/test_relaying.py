"""The paths into a relay: whatever else is asked for is none."""

from __future__ import annotations

import pytest

from marketplace.domain.ids import Bytes32
from marketplace.domain.relaying import answer_path, caller_path, line_path, way_in

LEASE, TICKET = Bytes32("0x" + "1e" * 32), "t" * 43


def test_each_way_in_is_read_as_it_was_written() -> None:
    """The agent's line, the client's call, and the answer with its ticket."""
    ways = [way_in(path) for path in (line_path(LEASE), caller_path(LEASE), answer_path(LEASE, TICKET))]

    assert ways == [(LEASE, "line", ""), (LEASE, "caller", ""), (LEASE, "answer", TICKET)]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/relay", f"/v1/relay/{LEASE}/answer", f"/v1/relay/{LEASE}/line/{TICKET}", f"/v1/relay/{LEASE}/caller/{TICKET}",
        f"/v1/relay/{LEASE}/answer/{TICKET[1:]}", f"/v1/relay/{LEASE.upper()}/line", line_path(LEASE) + "\n", f"/x{line_path(LEASE)}",
    ],
)  # fmt: skip
def test_any_other_path_is_no_way_in(path: str) -> None:
    """A ticket where none belongs, none where one does, another lease's form, more before or behind."""
    assert way_in(path) is None
