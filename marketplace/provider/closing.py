"""What is left of a job when it is over: outputs bundled and hashed, the result document, and their delivery."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from marketplace.client.api import GatewayApi
from marketplace.domain.bundles import bundle_paths, write_bundle
from marketplace.domain.errors import InvalidField, UnreadableAnswer
from marketplace.domain.ids import Bytes32, Sha256, sha256_of
from marketplace.domain.models import Receipt
from marketplace.domain.spec import JobSpec, OutputFile, Result, read_result, read_spec
from marketplace.domain.work import read_work
from marketplace.provider.home import ServingFolder, path_in_run

NOT_RUN = 125
"""Exit code of a job that the provider could not run, or whose outputs it cannot hand over: not a word of the job's own."""

LOG_CHUNK_BYTES = 64 * 1024
LOG_CHUNKS_AT_ONCE = 16


def wrap_up(folder: ServingFolder, exit_code: int, note: str) -> Result:
    """Bundle the declared outputs, close the log with ``note``, and write the result down; the second time, only read it.

    Outputs that cannot be bundled (links, devices, too much) are left out with a note in the log; the exit code of a job
    that would otherwise have succeeded is then NOT_RUN, because the client did not get what it asked for.
    """
    folder.make()
    document = folder.path / "result.json"
    if document.exists():
        return read_result(document.read_bytes())
    notes = [note] if note else []
    try:
        outputs = _outputs(folder) if exit_code != NOT_RUN else ()
    except InvalidField as exc:
        notes.append(f"outputs not delivered: {exc}")
        outputs, exit_code = (), exit_code or NOT_RUN
    folder.write_notes(notes)
    result = Result(exit_code, outputs, _close_log(folder))
    _write_durably(document, result.canonical())
    return result


def _outputs(folder: ServingFolder) -> tuple[OutputFile, ...]:
    """The declared outputs that exist, bundled. Without a run there are none."""
    runs = folder.runs()
    if not runs or not folder.work.exists():
        return ()
    spec, work = read_spec(folder.spec.read_bytes()), read_work(folder.work.read_bytes())
    found = ((path, path_in_run(runs[-1], path)) for path in work.outputs)
    return tuple(_bundled(path, source, folder, spec) for path, source in found if source is not None)


def _bundled(job_path: str, source: Path, folder: ServingFolder, spec: JobSpec) -> OutputFile:
    limit, partial = spec.resources.disk_mib << 20, folder.bundles / "partial"
    if source.is_dir():
        with partial.open("wb") as stream:
            made = write_bundle(source, stream, limit_bytes=limit)
        name, size = made.sha256, made.bytes
    else:
        content = bundle_paths([(source.name, source)], limit_bytes=limit)
        partial.write_bytes(content)
        name, size = sha256_of(content), len(content)
    os.replace(partial, folder.bundles / name)
    return OutputFile(job_path, name, size)


def _close_log(folder: ServingFolder) -> Sha256:
    """Put the log's parts into one file and hash it. Nothing is added to the log from here on."""
    digest = hashlib.sha256()
    with log_file(folder).open("wb") as stream:
        for piece in folder.log_pieces():
            digest.update(piece)
            stream.write(piece)
    return Sha256(digest.hexdigest())


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


def deliver(api: GatewayApi, folder: ServingFolder, receipt: Receipt, signature: str, result: Result) -> Bytes32:
    """Upload outputs and log, then hand our receipt to the client's side; the lease's id. May be repeated."""
    for output in result.outputs:
        api.put_blob(folder.bundles / output.sha256)
    api.put_blob(log_file(folder))
    api.post_receipt(receipt.lease, receipt, "provider", signature, result)
    return receipt.lease


def pump_log(api: GatewayApi, lease: Bytes32, folder: ServingFolder, offset: int) -> int:
    """Send what the log has beyond ``offset``, a bounded piece of it; where the gateway stands now.

    The gateway may stand elsewhere than we thought, after a restart of either: then its word is taken and we go on there, if there
    is such a place in the log. Raises UnreadableAnswer where there is not.
    """
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
