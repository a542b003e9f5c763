"""A job's output as it comes: from the gateway while it runs, and the rest from the verified log."""

from __future__ import annotations

import os
import sys

import pytest
from rich.status import Status

from marketplace.cli.session import CommandSession
from marketplace.cli.streaming import ShownOutput
from marketplace.client import Job, JobState
from marketplace.client.log_reading import LogReader
from tests.integration.client.conftest import LOG, Desk, Play


def test_output_comes_once_and_in_full(desk: Desk, play: Play, running: Job) -> None:
    """What the gateway had is shown while the job runs; what it never had follows when the log is verified; nothing comes twice."""
    reader = LogReader(desk.market.api)
    assert running.new_output(reader) == ""

    play.api.append_log(running.id, 0, LOG[:10])
    assert running.new_output(reader) == LOG[:10].decode()
    assert running.new_output(reader) == ""

    play.hand_in(running, 3)
    shown: list[str] = []
    assert running.wait(60, on_output=shown.append) is JobState.SUCCEEDED
    assert "".join(shown) == LOG.decode()
    assert running.new_output(reader) == LOG[10:].decode()
    assert running.new_output(reader) == ""


def test_a_stream_that_was_not_the_log_is_not_mended_with_it(desk: Desk, play: Play, running: Job) -> None:
    """A gateway may have shown anything: the verified log is not appended to that, and `bourse logs` shows it alone."""
    reader = LogReader(desk.market.api)
    play.api.append_log(running.id, 0, b"made up")
    assert running.new_output(reader) == "made up"

    play.hand_in(running, 3)
    running.wait(60)

    assert running.new_output(reader) == ""
    assert "".join(running.logs()) == LOG.decode()


@pytest.fixture
def line() -> Status:
    return CommandSession().err.status("running")


def test_output_is_shown_harmless_and_what_follows_begins_a_line(
    line: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    """Titles and colours are signs; a last line without its end gets one. With ``--json``, stdout is left to the document."""
    for as_json in (False, True):
        shown = ShownOutput(CommandSession(as_json), line)
        shown.write("a\x1b[31mb")
        shown.end()

        out, err = capsys.readouterr()
        assert (err if as_json else out) == "a␛[31mb\n"
        assert (out if as_json else err) == ""


def test_lines_of_nodes_are_not_mixed(line: Status, capsys: pytest.CaptureFixture[str]) -> None:
    """Each whole line says whose it is; what has no end yet waits for it."""
    shown = ShownOutput(CommandSession(), line)
    for rank, text in ((0, "one "), (1, "two\nthree"), (0, "line\n")):
        shown.write_of_node(rank, text)
    shown.end()

    assert capsys.readouterr().out == "[node 1] two\n[node 0] one line\n[node 1] three\n"


def test_a_node_cannot_begin_a_line_of_another_one(line: Status, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever ends a line on a screen is followed by whose the next one is."""
    shown = ShownOutput(CommandSession(), line)
    shown.write_of_node(0, "fine\r[node 1] failed\r\n")
    shown.end()

    assert capsys.readouterr().out == "[node 0] fine\n[node 0] [node 1] failed\n"


def test_who_has_read_enough_ends_nothing(line: Status, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that goes away, as ``head`` does, is no reason to leave a job before its receipt is signed."""
    reading, writing = os.pipe()
    with open(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        os.close(reading)
        shown = ShownOutput(CommandSession(), line)
        for _ in range(2):
            shown.write("nobody reads this\n")
        monkeypatch.undo()
