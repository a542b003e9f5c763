"""A gateway that lies about a job's papers: what it sends is its own doing, and no reason that is about the job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.ids import bytes32_of, sha256_of
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.work import Assignment
from marketplace.provider.intake import collect_inputs, fetch_assignment, unpack_inputs
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.provider.unsealing import Unsealer
from tests.hostile.client.lying import INPUT, LEASE, SPEC, WORK, serving_folder
from tests.hostile.gateway.telling import ORDER
from tests.hostile.shelf import shelf


@pytest.mark.parametrize("content", [b"[" * (MAX_SPEC_BYTES + 1), b"other", b""])
@pytest.mark.parametrize("of_work", [False, True])
def test_another_document_or_too_much_of_it_is_the_gateways_doing(
    tmp_path: Path, content: bytes, *, of_work: bool
) -> None:
    """A provider must not say that a client's spec is invalid because a gateway sends something else in its place."""
    spec, folder = SPEC.canonical(), serving_folder(tmp_path)
    order = replace(ORDER, spec=bytes32_of(sha256_of(spec)))
    lie = content * (MAX_WORK_BYTES // MAX_SPEC_BYTES) if of_work else content
    blobs = {SPEC.work.sha256: lie, sha256_of(spec): spec} if of_work else {sha256_of(spec): lie}
    with shelf(blobs) as api:
        found = fetch_assignment(api, LEASE, order, folder, Unsealer(folder.path.parents[1], is_published=True))

    assert isinstance(found, Obstacle)
    assert found.reason is ObstacleReason.SPEC_NOT_DELIVERED


def test_who_fetches_too_late_finds_nothing_to_write_to(tmp_path: Path) -> None:
    """A thread that nobody waits for any more, on a gateway that dripped, touches neither the run nor the disk."""
    folder, task = serving_folder(tmp_path), Assignment(SPEC, WORK)
    with shelf({sha256_of(INPUT): INPUT}) as api:
        assert collect_inputs(api, LEASE, task, folder) is True
        run = unpack_inputs(task, folder)
        assert isinstance(run, Path)
        with pytest.raises(FileNotFoundError):
            collect_inputs(api, LEASE, task, folder)

    assert (run / "in" / "hello.txt").read_bytes() == b"hello"
    assert not folder.inputs.exists()
