"""Fetching what a lease is about, by hash: nothing that the gateway, or anybody behind it, says is believed.

Both functions are chores: they return what stands in the way as an Obstacle, raise GatewayUnavailable when it is worth
trying again, and may be repeated. An obstacle that is not about the pair is the gateway's: it may deliver after all.
"""

from __future__ import annotations

import errno
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from marketplace.client.api import GatewayApi
from marketplace.client.transfers import fetch_part
from marketplace.domain.archives import Seekable
from marketplace.domain.bundle_rules import Allowance, LeftOut
from marketplace.domain.errors import GatewayProblem, HashMismatch, InvalidField
from marketplace.domain.ids import Bytes32, Sha256, sha256_in, sha256_of
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.models import Order
from marketplace.domain.parts import PartStream
from marketplace.domain.spec import JOB_IN, read_spec
from marketplace.domain.unpacking import unpacking
from marketplace.domain.work import Assignment, Input, Work, read_work
from marketplace.provider.executors.base import JOB_INPUTS
from marketplace.provider.home import ServingFolder
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.provider.unsealing import Unsealer
from marketplace.sealing import unseal_into

_SERVER_ERROR = 500
_PASSING = frozenset({401, 404, 408, 429})
_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EROFS, errno.EMFILE, errno.ENFILE})
"""What the machine says when it gives out, whatever is unpacked on it."""


def fetch_assignment(
    api: GatewayApi, lease: Bytes32, order: Order, folder: ServingFolder, unsealer: Unsealer
) -> Assignment | Obstacle:
    """The job's spec and work, from our own folder if they were fetched before. The client signed the one's hash, which names the other's.

    Sealed work waits for the key that its client hands over."""
    try:
        content = _document(api, None, sha256_in(order.spec), folder.spec, MAX_SPEC_BYTES)
        spec = read_spec(content)
        work_content = _document(api, lease, spec.work.sha256, folder.work, MAX_WORK_BYTES)
        work = read_work(work_content)
    except HashMismatch as exc:
        return Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, str(exc))
    except InvalidField as exc:
        return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))
    except GatewayProblem as exc:
        return _undelivered(exc, ObstacleReason.SPEC_NOT_DELIVERED, f"spec {sha256_in(order.spec)}")
    folder.make()
    folder.spec.write_bytes(content)
    folder.work.write_bytes(work_content)
    try:
        opened = unsealer.opened(api, lease, work, folder)
    except InvalidField as exc:
        return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))
    except GatewayProblem as exc:
        return Obstacle(ObstacleReason.KEY_NOT_DELIVERED, f"the key of the sealed job: {exc}")
    return Assignment(spec, opened) if isinstance(opened, Work) else opened


def _document(api: GatewayApi, lease: Bytes32 | None, name: Sha256, kept: Path, limit_bytes: int) -> bytes:
    """A document of this name, from our own folder if it is there."""
    content = kept.read_bytes() if kept.exists() else b""
    return content if sha256_of(content) == name else api.fetch_blob(name, lease=lease, limit_bytes=limit_bytes)


def lay_out(api: GatewayApi, lease: Bytes32, task: Assignment, folder: ServingFolder) -> Path | Obstacle:
    """Fetch the inputs and unpack them into a fresh folder for one run, which is returned."""
    folder.make()
    for item in task.work.inputs:
        obstacle = _fetch_input(api, lease, item, folder)
        if obstacle:
            return obstacle
    run = folder.fresh_run()
    allowance = Allowance(task.spec.resources.disk_mib << 20)
    for item in task.work.inputs:
        obstacle = _unpack_input(item, folder, run, allowance)
        if obstacle:
            return obstacle
    return run


def _unpack_input(item: Input, folder: ServingFolder, run: Path, allowance: Allowance) -> Obstacle | None:
    """Unpack one bundle at its place, within what the inputs before it have left of the order's disk."""
    into = run / JOB_INPUTS / item.path.removeprefix(JOB_IN).strip("/")
    try:
        with PartStream([folder.inputs / part for part in item.parts]) as stream:
            if folder.job_key.exists():
                _unpack_sealed(stream, folder, into, allowance)
            else:
                _unpack(stream, into, allowance)
    except InvalidField as exc:
        return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path}: {exc}")
    except OSError as exc:
        if exc.errno in _OURS:
            raise
        # Two inputs that get in each other's way: one's file where the other needs a folder.
        return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path} cannot be unpacked: {exc.strerror}")
    return None


def _unpack_sealed(stream: PartStream, folder: ServingFolder, into: Path, allowance: Allowance) -> None:
    """Opened into a file first: that it was cut short shows at its end, and nothing is unpacked before."""
    with TemporaryFile(dir=folder.spool) as opened:
        unseal_into(stream, opened, folder.job_key.read_text(), "input")
        opened.seek(0)
        _unpack(opened, into, allowance)


def _unpack(stream: Seekable, into: Path, allowance: Allowance) -> None:
    """However many entries there are, the name of one is in memory."""
    for _ in unpacking(stream, into, allowance, _note_left_out):
        pass


def _note_left_out(one: LeftOut) -> None:
    structlog.get_logger().info("input.left_out", path=one.path, why=one.why)


def _fetch_input(api: GatewayApi, lease: Bytes32, item: Input, folder: ServingFolder) -> Obstacle | None:
    """Fetch one bundle's parts, those that are not here yet."""
    for part, size in item.sized_parts():
        try:
            fetch_part(api, part, size, folder.inputs, lease)
        except (HashMismatch, InvalidField) as exc:
            return Obstacle(ObstacleReason.INPUT_CORRUPT, f"{item.path}: {exc}")
        except GatewayProblem as exc:
            return _undelivered(exc, ObstacleReason.INPUT_NOT_DELIVERED, item.path)
    return None


def _undelivered(problem: GatewayProblem, reason: ObstacleReason, what: str) -> Obstacle:
    """A gateway that is broken (5xx) may recover: raise it again. So may one whose node has not seen yet that the lease is ours (404),
    whose block time is another (401), or that is asked too often. One that says no otherwise will say so again."""
    if problem.status >= _SERVER_ERROR or problem.status in _PASSING:
        raise problem
    return Obstacle(reason, f"{what}: the gateway answers {problem.status} ({problem})")
