"""The result document: what came of a job, whose doing its end was, and what is missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketplace.domain.bundle_rules import LeftOut
from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256
from marketplace.domain.limits import MAX_LEFT_OUT, MAX_OUTPUTS, MAX_PARTS, MAX_RESULT_BYTES
from marketplace.domain.results import EndedBy, EndedReason, LogFile, Output, Result, left_out_of, named, read_result

HASH = Sha256("ab" * 32)
LEFT = (LeftOut("link", "is a symbolic link"), LeftOut(".", "3 more are left out"))
RESULT = Result(3, EndedReason.EXITED, (Output("/job/out", 10, (HASH,), LEFT),), LogFile(HASH, 7, 4, 100))


def changed(**fields: Any) -> bytes:
    """The document with other fields."""
    return canonical_json(json.loads(RESULT.canonical()) | fields)


def test_a_result_survives_the_way_to_bytes_and_back() -> None:
    """The document behind a receipt's result hash can be read again."""
    assert read_result(RESULT.canonical()) == RESULT


def test_what_is_missing_is_told_by_its_path_in_the_job() -> None:
    """Files by their name below the output, and what is said of all of it by the output's own path."""
    assert [one.path for one in left_out_of(RESULT.outputs)] == ["/job/out/link", "/job/out"]


def test_every_blob_that_a_result_names_is_named_once() -> None:
    """The parts of all outputs in their order, then the log, which may be one of them."""
    parts = tuple(Sha256(f"{number:064x}") for number in range(3))
    outputs = (Output("/job/a", 2, parts[:2]), Output("/job/b", 2, (parts[1], parts[2])))
    logs = (LogFile(parts[0], 1), LogFile(HASH, 1))

    assert [Result(0, EndedReason.EXITED, outputs, log).blobs() for log in logs] == [parts, (*parts, HASH)]


@pytest.mark.parametrize("reason", EndedReason)
def test_every_end_is_somebodys_doing(reason: EndedReason) -> None:
    """Each reason has one party, and a document that blames another is refused."""
    result = Result(None, reason, (), LogFile(HASH, 0))
    other = next(by for by in EndedBy if by is not reason.by)

    assert read_result(result.canonical()).reason is reason
    with pytest.raises(InvalidField, match=r"ended\.by"):
        read_result(changed(ended={"by": other, "reason": reason}))


def test_only_a_job_that_ends_itself_well_succeeds() -> None:
    """Exit code 0 is a success where the job ended by itself, and nowhere else."""
    ends = [(0, EndedReason.EXITED), (1, EndedReason.EXITED), (None, EndedReason.NOT_RUN), (0, EndedReason.TIME_LIMIT)]

    assert [Result(code, reason, (), LogFile(HASH, 0)).is_success for code, reason in ends] == [
        True,
        False,
        False,
        False,
    ]


WRONG: dict[str, tuple[bytes, str]] = {
    "exit code -1": (changed(exit_code=-1), "exit_code"),
    "exit code 256": (changed(exit_code=256), "exit_code"),
    "exit code true": (changed(exit_code=True), "exit_code"),
    "version 1": (changed(version=1), "version"),
    "an unknown reason": (changed(ended={"by": "job", "reason": "boredom"}), "ended.reason"),
    "an unknown field of its end": (changed(ended={"by": "job", "reason": "exited", "at": 0}), "ended.at"),
    "an unknown field": (changed(verdict="good"), "verdict"),
    "a path with ..": (changed(outputs=[{"path": "/job/../x", "bytes": 0, "parts": [], "left_out": []}]), "outputs"),
    "a terminal escape": (
        changed(outputs=[{"path": "/job/out", "bytes": 0, "parts": [], "left_out": [{"path": "\x1b]52;", "why": ""}]}]), "left_out",
    ),
    "bytes below 0": (changed(log={"sha256": HASH, "bytes": -1, "missing_from": 0, "missing_bytes": 0}), "log.bytes"),
    "not canonical": (RESULT.canonical() + b" ", "canonical"),
    "too long": (b" " * (MAX_RESULT_BYTES + 1), "at most"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "named_field"), WRONG.values(), ids=WRONG)
def test_a_result_is_read_strictly(content: bytes, named_field: str) -> None:
    """Each field has its type and range, and what breaks a rule is named."""
    with pytest.raises(InvalidField, match=named_field):
        read_result(content)


def test_the_largest_result_can_be_posted() -> None:
    """As many parts and names as the limits allow fit into a document of the size that the limits allow."""
    everything = [LeftOut("\U0001f600" * 500 + f"\n{number}", "\U0001f600" * 500) for number in range(3 * MAX_LEFT_OUT)]
    outputs = [Output(f"/job/out/{number}", 0, (), (LEFT[1],)) for number in range(MAX_OUTPUTS - 1)]
    largest = Output("/job/out/z", 1, (HASH,) * MAX_PARTS, named(everything))
    content = Result(0, EndedReason.EXITED, (*outputs, largest), LogFile(HASH, 0)).canonical()

    assert len(content) <= MAX_RESULT_BYTES
    assert read_result(content).outputs[-1].left_out[-1].why == f"{2 * MAX_LEFT_OUT} more are left out"
