"""What is left of a job: outputs, log and result, from a folder that the job has had to itself."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, sha256_of
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.units import UnixTime
from marketplace.provider.closing import NOT_RUN, log_file, wrap_up
from marketplace.provider.home import AgentHome, ServingFolder, path_in_run
from tests.works import SOME_WORK

SPEC = JobSpec(SOME_WORK.name, resources=Resources(disk_mib=1))


@pytest.fixture
def folder(tmp_path: Path) -> ServingFolder:
    home = AgentHome(tmp_path / "home")
    folder = home.serving(Bytes32("0x" + "11" * 32), UnixTime(1))
    folder.make()
    folder.spec.write_bytes(SPEC.canonical())
    folder.work.write_bytes(SOME_WORK.canonical())
    home.close()
    return folder


def ran(folder: ServingFolder, log: str) -> Path:
    """A run that is over and has printed this."""
    run = folder.fresh_run()
    (run / "log").write_text(log)
    return run


def names_in(bundle: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        return archive.getnames()


def test_outputs_are_bundled_and_named_by_hash(folder: ServingFolder) -> None:
    """The declared folder becomes a bundle whose name is its hash; the log's hash is that of all that was printed."""
    (ran(folder, "printed\n") / "out" / "a.txt").write_text("made")
    result = wrap_up(folder, 0, "")

    (output,) = result.outputs
    content = (folder.bundles / output.sha256).read_bytes()
    assert (sha256_of(content), len(content)) == (output.sha256, output.bytes)
    assert names_in(content) == ["a.txt"]
    assert result.logs_sha256 == sha256_of(b"printed\n")
    assert result.exit_code == 0


def test_second_time_is_the_first(folder: ServingFolder) -> None:
    """A result that was written down is read, not made again: a receipt over it may have been signed."""
    run = ran(folder, "")
    first = wrap_up(folder, 3, "")
    (run / "out" / "late.txt").write_text("changed")

    assert wrap_up(folder, 4, "other") == first


def test_single_file_is_bundled_under_its_name(folder: ServingFolder) -> None:
    """An output may be a file; in its bundle it has its own name."""
    work = replace(SOME_WORK, outputs=("/job/out/model.bin", "/job/out/missing"))
    folder.work.write_bytes(work.canonical())
    (ran(folder, "") / "out" / "model.bin").write_text("weights")
    (output,) = wrap_up(folder, 0, "").outputs

    assert output.path == "/job/out/model.bin"
    assert names_in((folder.bundles / output.sha256).read_bytes()) == ["model.bin"]


def test_link_in_the_outputs_is_not_followed(folder: ServingFolder, tmp_path: Path) -> None:
    """A link that a job leaves in its outputs leads nowhere: nothing is delivered, and the log says why."""
    (tmp_path / "secret").write_text("key")
    (ran(folder, "") / "out" / "link").symlink_to(tmp_path / "secret")
    result = wrap_up(folder, 0, "")

    assert result.outputs == ()
    assert result.exit_code == NOT_RUN
    assert "outputs not delivered" in log_file(folder).read_text()


def test_link_on_the_way_to_an_output_is_not_followed(folder: ServingFolder, tmp_path: Path) -> None:
    """Nor does a declared path lead through a link that the job has put in its way."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("key")
    run = ran(folder, "")
    (run / "out" / "sub").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(InvalidField, match="symbolic link"):
        path_in_run(run, "/job/out/sub/file")


def test_too_much_output_is_not_delivered(folder: ServingFolder) -> None:
    """Outputs beyond the spec's disk are refused, honestly: the exit code of a job that failed by itself stays."""
    (ran(folder, "") / "out" / "large").write_bytes(bytes(2 << 20))
    result = wrap_up(folder, 7, "")

    assert (result.exit_code, result.outputs) == (7, ())


def test_log_is_that_of_all_runs_and_ends_with_the_note(folder: ServingFolder) -> None:
    """Who restarts an agent loses no line of the log; what the agent has to say comes last."""
    ran(folder, "first\n")
    ran(folder, "second\n")
    wrap_up(folder, 137, "stopped: no reason")

    assert log_file(folder).read_text() == "first\nsecond\n[provider] stopped: no reason\n"
    assert folder.read_log(3, 6) == b"st\nsec"


def test_fresh_run_is_empty_and_keeps_only_older_logs(folder: ServingFolder) -> None:
    """A job that runs again finds nothing of its first run."""
    first = ran(folder, "first\n")
    (first / "out" / "half").write_text("half a result")
    second = folder.fresh_run()

    assert not list((second / "out").iterdir())
    assert [path.name for path in first.iterdir()] == ["log"]


def test_job_that_was_not_run_has_no_outputs(folder: ServingFolder) -> None:
    """A result can be made without any run: nothing came out, and the log says why."""
    result = wrap_up(folder, NOT_RUN, "not run: because")

    assert (result.exit_code, result.outputs) == (NOT_RUN, ())
    assert log_file(folder).read_text() == "[provider] not run: because\n"
