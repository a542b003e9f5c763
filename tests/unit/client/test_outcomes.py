"""Exit codes and the one line that an error is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from marketplace.cli.main import main, report_file, wants_json
from marketplace.cli.outcomes import OF_STATE, ExitCode, error_document, exit_code_of, line_of
from marketplace.client import GatewayApi, JobState, __all__
from marketplace.domain import chain_errors
from marketplace.domain import errors as e
from marketplace.domain.refusals import Refusal


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (e.InvalidField("gpu", "no"), ExitCode.USAGE),
        (e.ConfigError(["no"]), ExitCode.USAGE),
        (e.NotFound("job", "9"), ExitCode.USAGE),
        (e.Refused(Refusal.OrderExpired), ExitCode.REFUSED),
        (e.InsufficientBalance("0x", 2, 1), ExitCode.REFUSED),
        (chain_errors.TransactionReverted("NotClient"), ExitCode.REFUSED),
        (e.GatewayProblem(402, "ClientBalanceTooLow", "no"), ExitCode.REFUSED),
        (e.GatewayProblem(422, "InvalidField", "no"), ExitCode.USAGE),
        (e.GatewayProblem(500, "InternalError", "no"), ExitCode.UNAVAILABLE),
        (e.GatewayUnavailable("no"), ExitCode.UNAVAILABLE),
        (chain_errors.ChainUnavailable("no"), ExitCode.UNAVAILABLE),
        (chain_errors.WrongChain("1", "2"), ExitCode.UNAVAILABLE),
        (e.HashMismatch("blob", "a", "b"), ExitCode.LOST),
        (e.JobFailed("1", "no"), ExitCode.LOST),
        (e.DeadlinePassed("it", 1), ExitCode.TIMED_OUT),
    ],
)
def test_every_error_has_an_exit_code(error: e.MarketplaceError, code: ExitCode) -> None:
    """What a shell is told."""
    assert exit_code_of(error) is code


def test_every_state_has_an_exit_code() -> None:
    """Only success is 0, and a job that ran and failed is 1."""
    assert set(OF_STATE) == set(JobState)
    assert [state for state, code in OF_STATE.items() if code is ExitCode.OK] == [JobState.SUCCEEDED]
    assert OF_STATE[JobState.FAILED] is ExitCode.JOB_FAILED


def test_an_error_is_one_line_with_its_reason_and_field() -> None:
    """Each said once."""
    problem = e.GatewayProblem(409, "PriceOutOfBounds", "the price is too low", "order.maxPrice")

    assert line_of(problem) == "PriceOutOfBounds: the price is too low [order.maxPrice]"
    assert line_of(e.InvalidField("gpu", "is unknown")) == "InvalidField: gpu: is unknown"
    assert "\n" not in line_of(e.ConfigError(["one", "two"]))


def test_an_error_is_a_document_too() -> None:
    """With what to do next."""
    document = error_document(chain_errors.ChainUnavailable("no node answers"))["error"]

    assert document["reason"] == "ChainUnavailable"
    assert document["retryable"] is True
    assert document["exitCode"] == 4
    assert document["advice"]


def test_the_jobs_own_words_are_not_ours() -> None:
    """What stands after -- belongs to the job."""
    assert wants_json(["ps", "--json"])
    assert not wants_json(["run", "--", "tool", "--json"])


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (["offers", "--json", "--colour", "red"], "--colour"),
        (["quote", "--json"], "gpu"),
        (["deploy", "--json", "--preset", "mars"], "preset"),
        (["wallet", "borrow", "--json"], "command line"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_json_too(
    words: list[str], field: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who asked for JSON reads one document on stdout, whatever was wrong; nothing is on stderr, and the exit code is 2."""
    monkeypatch.setattr(sys, "argv", ["bourse", *words])
    with pytest.raises(SystemExit) as ended:
        main()

    told = capsys.readouterr()
    document = json.loads(told.out)["error"]
    assert (ended.value.code, document["exitCode"], told.err) == (2, 2, "")
    assert (document["reason"], document["field"]) == ("InvalidField", field)
    assert document["rule"]


def test_the_public_names_can_be_read_aloud() -> None:
    """A sorted list, and nothing in it is missing."""
    assert list(__all__) == sorted(__all__)
    assert GatewayApi.__name__ in __all__


def test_a_file_that_cannot_be_used_is_no_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its name and the system's reason are said, with the exit code for what is wrong about the command line."""
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        (tmp_path / "file" / "folder").mkdir()

    assert report_file(refused.value, as_json=False) is ExitCode.USAGE
    assert capsys.readouterr().err == f"bourse: InvalidField: {tmp_path}/file/folder: cannot be used: Not a directory\n"
    assert report_file(OSError("nobody's"), as_json=False) is ExitCode.BUG
