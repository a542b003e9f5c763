"""What is left of a job when it is over: outputs bundled and hashed, the result document, and their delivery.

Whatever ended the job, what is there is delivered, and what cannot be is named in the result: links, special files, what
does not fit. Outputs are not copied: their parts are read from the run's folder, which stays until the serving is closed.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.client.transfers import send_bundle
from marketplace.domain.bundle_rules import Allowance, LeftOut
from marketplace.domain.bundles import Bundle, bundle_outputs
from marketplace.domain.errors import InvalidField, UnreadableAnswer
from marketplace.domain.ids import Bytes32, Sha256, sha256_of
from marketplace.domain.limits import MAX_CONTENT_BYTES, MAX_LEFT_OUT, PART_BYTES
from marketplace.domain.results import EndedBy, EndedReason, LogFile, Output, Result, named, read_result
from marketplace.domain.spec import JOB_IN, JOB_OUT, read_spec
from marketplace.domain.work import Work, read_work
from marketplace.provider.gpus.use import notes_of_use
from marketplace.provider.home import NOTE_PREFIX, ServingFolder, path_in_run, slimmed
from marketplace.sealing import SealedFile, seal_into

_log = structlog.get_logger()

LOST = "this provider has lost what the job left, and charges nothing for it"
LOG_CHUNK_BYTES = 64 * 1024
LOG_CHUNKS_AT_ONCE = 16
_OF_THE_JOB = frozenset({errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR})
"""What the machine says of a path that its client, or the job, made so that nobody can look at it. All else is the machine's own trouble."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a job ended, as its result will say. ``exit_code`` only where it ended by itself; ``note`` closes the log."""

    reason: EndedReason
    exit_code: int | None = None
    note: str = ""

    @property
    def has_run(self) -> bool:
        """Whether a job that ended like this has left a folder, whatever the chain said of its lease."""
        return self.reason is EndedReason.STOPPED or self.reason.by in (EndedBy.JOB, EndedBy.LIMIT)


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The result of a job that is over, and how much of the disk is left of it, where that could be seen."""

    result: Result
    disk_mib: int | None


def wrap_up(folder: ServingFolder, ending: Ending, *, part_bytes: int = PART_BYTES) -> Result:
    """Hash the declared outputs, close the log with the ending's note, and write the result down; the second time, only read it.

    Raises InvalidField where a file changes meanwhile, and OSError: nothing is lost then, and it may be tried again.
    """
    folder.make()
    document = folder.path / "result.json"
    if document.exists():
        return read_result(document.read_bytes())
    recipient = _sealed_to(folder)
    outputs, notes = _named(folder, part_bytes) if recipient is None else _sealed(folder, recipient, part_bytes)
    folder.write_notes([*([ending.note] if ending.note else []), *notes, *notes_of_use(folder)])
    result = Result(ending.exit_code, ending.reason, outputs, _close_log(folder, recipient))
    _write_durably(document, result.canonical())
    return result


def wrapped(
    folder: ServingFolder, ending: Ending, *, has_run: bool, is_over: bool, if_gone: Ending | None = None
) -> Wrapped:
    """The result, and how much is left of the folder, slimmed where its job ``is_over``. A job that ran and left nothing has an empty folder.

    Where what it left is gone, ``if_gone`` is what the result says; without that raise FileNotFoundError. Raises as ``wrap_up`` does.
    """
    if has_run and not folder.runs():
        if if_gone is None:
            raise FileNotFoundError("what the job left on this machine is gone")
        ending = if_gone
    return Wrapped(wrap_up(folder, ending), slim_down(folder) if is_over else None)


def slim_down(folder: ServingFolder) -> int | None:
    """Delete what is not delivered of a job that is over and wrapped up; how many MiB are left of it (``home.slimmed``)."""
    try:
        work = _work_of(folder)
        if work and work.entrypoint == "session":
            return slimmed(folder, (JOB_IN, JOB_OUT))  # for a session that may go on with it
        return slimmed(folder, work.outputs if work and not folder.sealed.exists() else ())
    except OSError as exc:  # what is delivered is there; the room is not free yet, and that is all
        _log.warning("folder.not_slimmed", folder=folder.name, error=str(exc))
        return None


def _work_of(folder: ServingFolder) -> Work | None:
    """None where it never came, or is none: then nothing has run."""
    try:
        return read_work(folder.work.read_bytes()) if folder.work.exists() else None
    except InvalidField:
        return None


def lost_result() -> tuple[Result, bytes]:
    """What is said of a job whose outputs this machine has lost, and the log that goes with it; from memory, for there may be no disk."""
    log = f"{NOTE_PREFIX}{LOST}\n".encode()
    return Result(None, EndedReason.OUTPUTS_LOST, (), LogFile(sha256_of(log), len(log), len(log))), log


def _named(folder: ServingFolder, part_bytes: int) -> tuple[tuple[Output, ...], list[str]]:
    """The outputs as they are, and what is to be said of them."""
    outputs: list[Output] = []
    left = MAX_LEFT_OUT
    for path, bundle in _bundles(folder):
        parts = bundle.parts(part_bytes) if bundle.entries else ()
        left_out = named(bundle.left_out, left)
        left = max(0, left - len(left_out))
        outputs.append(Output(path, bundle.bytes if parts else 0, parts, left_out))
    count = sum(len(output.left_out) for output in outputs)
    return tuple(outputs), [f"not delivered, by name in the result: {count}"] if count else []


def _sealed(folder: ServingFolder, recipient: str, part_bytes: int) -> tuple[tuple[Output, ...], list[str]]:
    """The outputs sealed, each in a file that stays until it is delivered. What is left out is named in the log: the result is not sealed."""
    outputs: list[Output] = []
    notes: list[str] = []
    folder.sealed.mkdir(exist_ok=True, mode=0o700)
    for number, (path, bundle) in enumerate(_bundles(folder)):
        notes += [f"not delivered: {path}/{one.path}: {one.why}" for one in named(bundle.left_out)]
        if not bundle.entries:
            outputs.append(Output(path, 0, ()))
            continue
        with _sealed_output(folder, number).open("w+b") as stream:
            seal_into(bundle.pieces(), stream, recipient)
            stream.flush()
            os.fsync(stream.fileno())  # sealed anew it would have another hash than the receipt says
            found = SealedFile(stream)
            outputs.append(Output(path, found.bytes, found.parts(part_bytes)))
    return tuple(outputs), notes


def _sealed_output(folder: ServingFolder, number: int) -> Path:
    return folder.sealed / str(number)


def _sealed_to(folder: ServingFolder) -> str | None:
    """To whom outputs and log are sealed; None: they are not."""
    work = _work_of(folder)
    return work.sealed.recipient if work and work.sealed else None


def _bundles(folder: ServingFolder) -> Iterator[tuple[str, Bundle]]:
    """The declared outputs, which share the order's disk. Without a run there are none."""
    runs = folder.runs()
    if not runs or not folder.work.exists():
        return
    spec, work = read_spec(folder.spec.read_bytes()), read_work(folder.work.read_bytes())
    allowance = Allowance(min(spec.resources.disk_mib << 20, MAX_CONTENT_BYTES))
    for path in work.outputs:
        yield path, _bundle(runs[-1], path, allowance)


def _bundle(run: Path, path: str, allowance: Allowance) -> Bundle:
    try:
        source = path_in_run(run, path)
    except InvalidField as exc:
        return Bundle((), [LeftOut(".", exc.rule)])
    except OSError as exc:
        if exc.errno not in _OF_THE_JOB:
            raise
        return Bundle((), [LeftOut(".", f"cannot be looked at: {exc.strerror}")])
    return (
        bundle_outputs(source, allowance)
        if source
        else Bundle((), [LeftOut(".", "the job made no such file or folder")])
    )


def _close_log(folder: ServingFolder, recipient: str | None) -> LogFile:
    """Put the log's parts into one file, sealed where the job is, and hash it. Nothing is added to the log from here on."""
    with log_file(folder).open("w+b") as stream:
        if recipient is None:
            stream.writelines(folder.log_pieces())
        else:
            seal_into(folder.log_pieces(), stream, recipient)
        stream.flush()
        os.fsync(stream.fileno())
        stream.seek(0)
        name = Sha256(hashlib.file_digest(stream, "sha256").hexdigest())
        size = stream.tell()
    missing_from, missing_bytes = folder.log_gap()
    return LogFile(name, size, missing_from if missing_bytes else size, missing_bytes)


def log_file(folder: ServingFolder) -> Path:
    """The whole log, once the job is over."""
    return folder.path / "log"


def _write_durably(path: Path, content: bytes) -> None:
    """After this the receipt may be signed: a crash, even of the machine, finds the same document again."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def send_outputs(api: GatewayApi, folder: ServingFolder, result: Result, *, part_bytes: int = PART_BYTES) -> None:
    """Have the gateway hold every blob that the result names."""
    lost, log = lost_result()
    if result == lost:
        api.put_blob(log)
        return
    wanted = {output.path: output.parts for output in result.outputs}
    if folder.sealed.exists():
        for number, output in enumerate(result.outputs):
            if output.parts:
                with _sealed_output(folder, number).open("rb") as stream:
                    send_bundle(api, SealedFile(stream), output.parts, folder.spool, part_bytes)
    else:
        for path, bundle in _bundles(folder):
            send_bundle(api, bundle, wanted.get(path, ()), folder.spool, part_bytes)
    api.put_blob(log_file(folder))


def pump_log(api: GatewayApi, lease: Bytes32, folder: ServingFolder, offset: int) -> int:
    """Send what the log has beyond ``offset``, a bounded piece of it; where the gateway stands now.

    The gateway may stand elsewhere than we thought, after a restart of either: then its word is taken and we go on there, if there
    is such a place in the log. Raises UnreadableAnswer where there is not. Of a sealed job nothing is sent: its log comes, sealed, with the result.
    """
    if folder.job_key.exists():
        return offset
    for _ in range(LOG_CHUNKS_AT_ONCE):
        chunk = folder.read_log(offset, LOG_CHUNK_BYTES)
        if not chunk:
            break
        before, offset = offset, api.append_log(lease, offset, chunk)
        if not 0 <= offset <= folder.log_bytes():
            raise UnreadableAnswer("length", "must be a place in the log that there is")
        if offset <= before:
            break
    return offset
