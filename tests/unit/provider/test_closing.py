"""What is left of a job: outputs, log and result, from a folder that the job has had to itself."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import bundle_outputs
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, sha256_of
from marketplace.domain.results import EndedReason, Output, Result
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.units import UnixTime
from marketplace.provider.closing import Ending, log_file, slim_down, wrap_up
from marketplace.provider.home import AgentHome, ServingFolder, path_in_run
from marketplace.sealing import new_identity, recipient_of, seal_work, unseal_into
from tests.works import SOME_WORK

SPEC = JobSpec(SOME_WORK.name, resources=Resources(disk_mib=1))
PART = 64 * 1024
EXITED = Ending(EndedReason.EXITED, 0)


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


def left_out(result: Result) -> dict[str, str]:
    """What the only output does not hold, and why."""
    (output,) = result.outputs
    return {one.path: one.why for one in output.left_out}


def names_in(folder: ServingFolder) -> list[str]:
    """What the only output holds, if it is bundled again now."""
    return [entry.name for entry in bundle_outputs(folder.runs()[-1] / "out", Allowance(1 << 20)).entries]


def test_outputs_are_cut_and_named_by_hash(folder: ServingFolder) -> None:
    """The declared folder becomes parts named by their hashes, in order; the log's hash is that of all that was printed."""
    content = os.urandom(3 * PART)
    out = ran(folder, "printed\n") / "out"
    (out / "a.bin").write_bytes(content)
    result = wrap_up(folder, EXITED, part_bytes=PART)

    whole = bundle_outputs(out, Allowance(1 << 20)).content()
    parts = tuple(sha256_of(whole[at : at + PART]) for at in range(0, len(whole), PART))
    assert result.outputs == (Output("/job/out", len(whole), parts),)
    assert (result.log.sha256, result.log.bytes) == (sha256_of(b"printed\n"), 8)
    assert (result.exit_code, result.reason) == (0, EndedReason.EXITED)


def test_second_time_is_the_first(folder: ServingFolder) -> None:
    """A result that was written down is read, not made again: a receipt over it may have been signed."""
    run = ran(folder, "")
    first = wrap_up(folder, EXITED)
    (run / "out" / "late.txt").write_text("changed")

    assert wrap_up(folder, Ending(EndedReason.STOPPED)) == first


def test_single_file_is_bundled_under_its_name(folder: ServingFolder) -> None:
    """An output may be a file; one that was never made is named as missing, and spoils nothing."""
    work = replace(SOME_WORK, outputs=("/job/out/model.bin", "/job/out/missing"))
    folder.work.write_bytes(work.canonical())
    (ran(folder, "") / "out" / "model.bin").write_text("weights")
    made, missing = wrap_up(folder, EXITED).outputs

    assert (made.path, len(made.parts), made.left_out) == ("/job/out/model.bin", 1, ())
    assert (missing.bytes, missing.parts) == (0, ())
    assert "no such file" in missing.left_out[0].why


def test_link_in_the_outputs_is_left_out_alone(folder: ServingFolder, tmp_path: Path) -> None:
    """A link that a job leaves in its outputs leads nowhere and loses nothing: the rest is delivered, the job's own end stays."""
    (tmp_path / "secret").write_text("key")
    out = ran(folder, "") / "out"
    (out / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(out / "fifo")
    (out / "weights").write_text("work")
    result = wrap_up(folder, EXITED)

    assert set(left_out(result)) == {"link", "fifo"}
    assert names_in(folder) == ["weights"]
    assert result.is_success
    assert "[provider] not delivered, by name in the result: 2" in log_file(folder).read_text()


def test_link_on_the_way_to_an_output_is_not_followed(folder: ServingFolder, tmp_path: Path) -> None:
    """Nor does a declared path lead through a link that the job has put in its way."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("key")
    folder.work.write_bytes(replace(SOME_WORK, outputs=("/job/out/sub/file",)).canonical())
    run = ran(folder, "")
    (run / "out" / "sub").symlink_to(tmp_path / "elsewhere")
    result = wrap_up(folder, EXITED)

    with pytest.raises(InvalidField, match="symbolic link"):
        path_in_run(run, "/job/out/sub/file")
    assert result.outputs[0].parts == ()
    assert "symbolic link" in left_out(result)["."]


def test_too_much_output_is_delivered_as_far_as_it_goes(folder: ServingFolder) -> None:
    """A job that went over its disk limit has what fits delivered, and its result says whose limit ended it."""
    out = ran(folder, "") / "out"
    (out / "large").write_bytes(bytes(2 << 20))
    (out / "small").write_bytes(b"work")
    result = wrap_up(folder, Ending(EndedReason.DISK_LIMIT))

    assert (result.exit_code, result.reason) == (None, EndedReason.DISK_LIMIT)
    assert set(left_out(result)) == {"large"}
    assert names_in(folder) == ["small"]


def test_log_is_that_of_all_runs_and_ends_with_the_note(folder: ServingFolder) -> None:
    """Who restarts an agent loses no line of the log; what the agent has to say comes last."""
    ran(folder, "first\n")
    ran(folder, "second\n")
    wrap_up(folder, Ending(EndedReason.TIME_LIMIT, note="stopped: no reason"))

    assert log_file(folder).read_text() == "first\nsecond\n[provider] stopped: no reason\n"
    assert folder.read_log(3, 6) == b"st\nsec"


def test_what_is_missing_in_the_log_is_told(folder: ServingFolder) -> None:
    """Of a log too long to be kept the result says how much is missing, and from which byte of the delivered log on."""
    ran(folder, "first\n")
    ran(folder, "head\n… 100 bytes missing …\ntail\n")
    folder.note_gap(5, 100)
    result = wrap_up(folder, EXITED)

    assert (result.log.missing_from, result.log.missing_bytes) == (11, 100)
    assert log_file(folder).read_text()[result.log.missing_from :].startswith("… 100 bytes")


def test_fresh_run_is_empty_and_keeps_only_older_logs(folder: ServingFolder) -> None:
    """A job that runs again finds nothing of its first run."""
    first = ran(folder, "first\n")
    (first / "out" / "half").write_text("half a result")
    second = folder.fresh_run()

    assert not list((second / "out").iterdir())
    assert [path.name for path in first.iterdir()] == ["log"]


def test_job_that_was_not_run_has_no_outputs(folder: ServingFolder) -> None:
    """A result can be made without any run: nothing came out, and the log says why."""
    result = wrap_up(folder, Ending(EndedReason.NOT_RUN, note="not run: because"))

    assert (result.exit_code, result.reason, result.outputs) == (None, EndedReason.NOT_RUN, ())
    assert log_file(folder).read_text() == "[provider] not run: because\n"


def test_exit_code_125_is_a_job_like_any_other(folder: ServingFolder) -> None:
    """No exit code is the agent's own: what a job that exits with 125 has made is delivered."""
    (ran(folder, "") / "out" / "model").write_text("weights")
    result = wrap_up(folder, Ending(EndedReason.EXITED, 125))

    assert result.exit_code == 125
    assert result.outputs[0].parts


def test_a_sealed_jobs_result_names_no_file_and_opens_with_its_key(folder: ServingFolder, tmp_path: Path) -> None:
    """Outputs and log are sealed before they are hashed; what is left out is named in the log; the second time nothing is sealed anew."""
    key = new_identity()
    folder.work.write_bytes(seal_work(SOME_WORK, recipient_of(key)).canonical())
    out = ran(folder, "printed\n") / "out"
    (out / "a.bin").write_bytes(os.urandom(3 * PART))
    (out / "hush").symlink_to("a.bin")

    result = wrap_up(folder, EXITED, part_bytes=PART)
    again = wrap_up(folder, EXITED, part_bytes=PART)

    assert again == result
    (output,) = result.outputs
    assert output.left_out == ()
    sealed = (folder.sealed / "0").read_bytes()
    assert output.bytes == len(sealed)
    assert output.parts == tuple(sha256_of(sealed[at : at + PART]) for at in range(0, len(sealed), PART))
    assert opened(sealed, key) == bundle_outputs(out, Allowance(1 << 20)).content()
    log = log_file(folder).read_bytes()
    assert (result.log.sha256, result.log.bytes) == (sha256_of(log), len(log))
    assert opened(log, key).decode().startswith("printed\n[provider] not delivered: /job/out/hush: is a symbolic link")


def opened(sealed: bytes, key: str) -> bytes:
    plain = io.BytesIO()
    unseal_into(io.BytesIO(sealed), plain, key, "output")
    return plain.getvalue()


def test_what_is_not_delivered_makes_room(folder: ServingFolder) -> None:
    """Once the result is written down, of an attempt only the folders stay in which an output lies; they still make the same parts."""
    run = ran(folder, "printed\n")
    (run / "in" / "input").write_bytes(os.urandom(2 << 20))
    (run / "out" / "made").write_bytes(os.urandom(1000))
    result = wrap_up(folder, EXITED)
    left = slim_down(folder)

    assert left == 1
    assert not (run / "in").exists()
    assert result.outputs[0].parts == bundle_outputs(run / "out", Allowance(1 << 20)).parts()
    assert wrap_up(folder, EXITED) == result


def test_of_a_sealed_job_only_what_is_sealed_stays(folder: ServingFolder) -> None:
    """Its outputs are in one file each that is not made again: what they were made of makes room."""
    folder.work.write_bytes(seal_work(SOME_WORK, recipient_of(new_identity())).canonical())
    run = ran(folder, "")
    (run / "out" / "made").write_bytes(os.urandom(1000))
    wrap_up(folder, EXITED)
    slim_down(folder)

    assert not (run / "out").exists()
    assert len(list(folder.sealed.iterdir())) == 1
