"""Fetching what a lease is about, by hash, and unpacking it: nothing that a gateway, or anybody behind it, says is believed.

All functions are chores: they return what stands in the way as an Obstacle, raise GatewayUnavailable when it is worth
trying again, and may be repeated. An obstacle that is not about the pair is the gateway's: it may deliver after all.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile

import structlog

from marketplace.api.client.gateway import GatewayApi
from marketplace.client.transfers import fetch_part
from marketplace.domain.archives import Seekable
from marketplace.domain.bundle_parts import PartStream
from marketplace.domain.bundle_rules import Allowance, LeftOut
from marketplace.domain.errors import GatewayProblem, HashMismatch, InvalidField
from marketplace.domain.ids import Bytes32, Sha256, sha256_in, sha256_of
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.orders import Order
from marketplace.domain.spec import JOB_IN, read_spec
from marketplace.domain.unpacking import unpacking
from marketplace.domain.work import Assignment, Input, read_work
from marketplace.provider.executors.base import JOB_INPUTS
from marketplace.provider.executors.removal import remove
from marketplace.provider.home import ServingFolder, write_whole
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
        spec = read_spec(_document(api, None, sha256_in(order.spec), folder.spec, MAX_SPEC_BYTES))
        work = read_work(_document(api, lease, spec.work.sha256, folder.work, MAX_WORK_BYTES))
        return unsealer.opened(api, lease, Assignment(spec, work), folder)
    except _Undelivered as exc:
        return exc.obstacle
    except InvalidField as exc:
        return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))
    except GatewayProblem as exc:
        return Obstacle(ObstacleReason.KEY_NOT_DELIVERED, f"the job's key, or its secrets: {exc}")


class _Undelivered(Exception):
    """A document that a gateway did not hand out."""

    def __init__(self, why: str) -> None:
        self.obstacle = Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, why)


def _document(api: GatewayApi, lease: Bytes32 | None, name: Sha256, kept: Path, limit_bytes: int) -> bytes:
    """A document of this name, from our own folder if it is there; it is kept there."""
    content = kept.read_bytes() if kept.exists() else b""
    if sha256_of(content) == name:
        return content
    try:
        content = api.fetch_blob(name, lease=lease, limit_bytes=limit_bytes)
    except (HashMismatch, InvalidField) as exc:
        # Another content, or too much of it, is the gateway's doing: what the client signed has another hash.
        raise _Undelivered(str(exc)) from exc
    except GatewayProblem as exc:
        obstacle = _undelivered(exc, ObstacleReason.SPEC_NOT_DELIVERED, f"document {name}")
        raise _Undelivered(obstacle.detail) from exc
    write_whole(kept, content)
    return content


def collect_inputs(api: GatewayApi, lease: Bytes32, task: Assignment, folder: ServingFolder) -> bool | Obstacle:
    """Fetch the parts of all inputs that are not here yet. One gateway may have some of them, and another one the rest."""
    for item in task.work.inputs:
        obstacle = _fetch_input(api, lease, item, folder)
        if obstacle:
            return obstacle
    return True


def unpack_inputs(task: Assignment, folder: ServingFolder) -> Path | Obstacle:
    """Unpack what was collected into a fresh folder for one run, which is returned. Each part is deleted as soon as it is
    unpacked, so that an input never lies on the disk twice; a further run collects them anew."""
    run = folder.fresh_run()
    allowance = Allowance(task.spec.resources.disk_mib << 20)
    paths = [[folder.inputs / part for part in item.parts] for item in task.work.inputs]
    for number, item in enumerate(task.work.inputs):
        kept = frozenset(chain.from_iterable(paths[number + 1 :]))
        obstacle = _unpack_input(item, PartStream(paths[number], kept), folder, run, allowance)
        if obstacle:
            return obstacle
    _drop_inputs(folder)
    return run


def _drop_inputs(folder: ServingFolder) -> None:
    """With what threads that nobody waits for any more are still fetching: they find the folder gone."""
    gone = folder.inputs.with_suffix(".gone")
    while not remove(gone):
        pass
    folder.inputs.rename(gone)
    while not remove(gone):
        pass


def _unpack_input(
    item: Input, parts: PartStream, folder: ServingFolder, run: Path, allowance: Allowance
) -> Obstacle | None:
    """Unpack one bundle at its place, within what the inputs before it have left of the order's disk."""
    into = run / JOB_INPUTS / item.path.removeprefix(JOB_IN).strip("/")
    try:
        with parts as stream:
            if folder.job_key.exists():
                _unpack_sealed(stream, folder, into, allowance)
            else:
                _unpack(stream, into, allowance, stream.consume)
    except (InvalidField, ValueError, RecursionError) as exc:
        return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path}: {exc}")
    except OSError as exc:
        if exc.errno in _OURS:
            raise
        # Two inputs that get in each other's way: one's file where the other needs a folder.
        return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path} cannot be unpacked: {exc.strerror}")
    return None


def _unpack_sealed(stream: PartStream, folder: ServingFolder, into: Path, allowance: Allowance) -> None:
    """Opened into a file first: that it was cut short shows at its end, and nothing is unpacked before."""
    stream.consume()
    with TemporaryFile(dir=folder.spool) as opened:
        unseal_into(stream, opened, folder.job_key.read_text(), "input")
        opened.seek(0)
        _unpack(opened, into, allowance)


def _unpack(
    stream: Seekable, into: Path, allowance: Allowance, when_judged: Callable[[], object] = lambda: None
) -> None:
    """However many entries there are, the name of one is in memory."""
    for _ in unpacking(stream, into, allowance, when_judged, trouble=_note_left_out):
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
