"""Sessions in the sandbox: a machine without a command, which stays until it is ended, or left."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.keeping import SessionTerms
from marketplace.domain.ssh import EntryRefused
from marketplace.provider.executors.base import EndReason, Execution, ExecutionRequest
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.entrance import JobSession, Program
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, executor_at, left_of, prepared
from tests.integration.test_enter import output, shut


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapExecutor:
    return executor_at(tmp_path_factory.mktemp("agent"), find_cgroups())


def session(at: Path, idle_stop_seconds: int = 0, **limits: int) -> ExecutionRequest:
    """A session's request."""
    return replace(prepared(at, "true", **limits), command=(), session=SessionTerms(idle_stop_seconds))


def entered(execution: Execution, line: str) -> JobSession:
    """Somebody in there, as soon as it can be entered."""
    while True:
        assert execution.wait(0.05) is None
        try:
            return execution.entrance().run(Program(line=line))
        except EntryRefused:
            continue  # there is no sandbox yet


def test_a_session_stays_until_its_time_is_up(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Who enters finds the job's folders, and what is left there stays. Nothing of the session is left afterwards."""
    request = session(tmp_path, wall_seconds=8)
    execution = executor.start(request)
    text, error, code = output(entered(execution, "echo made > /job/out/made; pwd"))
    assert (text, error, code) == ("/job/in\n", "", 0)
    result = execution.wait(PATIENCE_SECONDS)

    assert result is not None
    assert (result.ended, request.log.read_text()) == (EndReason.TIME_LIMIT, "")
    assert (request.outputs / "made").read_text() == "made\n"
    assert left_of(request, find_cgroups()) == []


def test_a_session_that_is_left_ends_by_itself(executor: BubblewrapExecutor, tmp_path: Path) -> None:
    """Not while anybody's process runs in it, with a terminal or without; then soon, and with exit code 0."""
    request = session(tmp_path, idle_stop_seconds=1)
    execution = executor.start(request)
    somebody = entered(execution, "read -r _")
    assert execution.wait(2.5) is None
    os.write(somebody.pipes[0], b"\n")
    assert somebody.wait(PATIENCE_SECONDS) == 0
    shut(somebody)
    result = execution.wait(PATIENCE_SECONDS)

    assert result is not None
    assert (result.ended, result.exit_code) == (EndReason.EXITED, 0)
    assert left_of(request, find_cgroups()) == []
