"""Fetching what a lease is about, by hash: nothing that the gateway, or anybody behind it, says is believed.

Both functions are chores: they return what stands in the way as an Obstacle, raise GatewayUnavailable when it is worth
trying again, and may be repeated. An obstacle that is not about the pair is the gateway's: it may deliver after all.
"""

from __future__ import annotations

import errno
from pathlib import Path

from marketplace.client.api import GatewayApi
from marketplace.domain.bundles import unpack_bundle
from marketplace.domain.errors import GatewayProblem, HashMismatch, InvalidField
from marketplace.domain.ids import sha256_in, sha256_of
from marketplace.domain.models import Order
from marketplace.domain.spec import JOB_IN, MAX_SPEC_BYTES, Input, JobSpec, read_spec
from marketplace.provider.executors.base import JOB_INPUTS
from marketplace.provider.home import ServingFolder
from marketplace.provider.preflight import Obstacle, ObstacleReason

_SERVER_ERROR = 500
_OURS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EROFS, errno.EMFILE, errno.ENFILE})
"""What the machine says when it gives out, whatever is unpacked on it."""


def fetch_spec(api: GatewayApi, order: Order, folder: ServingFolder) -> JobSpec | Obstacle:
    """The job's spec, from our own folder if it was fetched before. Its hash is the one that the client signed."""
    name = sha256_in(order.spec)
    kept = folder.spec.read_bytes() if folder.spec.exists() else b""
    try:
        content = kept if sha256_of(kept) == name else api.fetch_blob(name, limit_bytes=MAX_SPEC_BYTES)
        spec = read_spec(content)
    except HashMismatch as exc:
        return Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, str(exc))
    except InvalidField as exc:
        return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))
    except GatewayProblem as exc:
        return _undelivered(exc, ObstacleReason.SPEC_NOT_DELIVERED, f"spec {name}")
    folder.make()
    folder.spec.write_bytes(content)
    return spec


def lay_out(api: GatewayApi, spec: JobSpec, folder: ServingFolder) -> Path | Obstacle:
    """Fetch the inputs and unpack them into a fresh folder for one run, which is returned."""
    folder.make()
    for item in spec.inputs:
        obstacle = _fetch_input(api, item, folder)
        if obstacle:
            return obstacle
    run = folder.fresh_run()
    for item in spec.inputs:
        into = run / JOB_INPUTS / item.path.removeprefix(JOB_IN).strip("/")
        try:
            with (folder.inputs / item.sha256).open("rb") as stream:
                unpack_bundle(stream, into, limit_bytes=spec.resources.disk_mib << 20)
        except InvalidField as exc:
            return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path}: {exc}")
        except OSError as exc:
            if exc.errno in _OURS:
                raise
            # Two inputs that get in each other's way: one's file where the other needs a folder.
            return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path} cannot be unpacked: {exc.strerror}")
    return run


def _fetch_input(api: GatewayApi, item: Input, folder: ServingFolder) -> Obstacle | None:
    """Fetch one bundle; a file that is there already was verified before it got its name."""
    kept = folder.inputs / item.sha256
    try:
        if not kept.exists():
            api.fetch_blob_into(item.sha256, kept, limit_bytes=item.bytes)
    except HashMismatch as exc:
        return Obstacle(ObstacleReason.INPUT_CORRUPT, f"{item.path}: {exc}")
    except InvalidField as exc:
        return Obstacle(ObstacleReason.INPUT_CORRUPT, f"{item.path}: {exc}")
    except GatewayProblem as exc:
        return _undelivered(exc, ObstacleReason.INPUT_NOT_DELIVERED, item.path)
    size = kept.stat().st_size
    if size != item.bytes:
        # Its hash is right, so nobody changed it on the way: the spec was wrong about it.
        return Obstacle(ObstacleReason.INPUT_INVALID, f"{item.path} has {size} bytes, the spec says {item.bytes}")
    return None


def _undelivered(problem: GatewayProblem, reason: ObstacleReason, what: str) -> Obstacle:
    """A gateway that is broken (5xx) may recover: raise it again. One that says no will say so again."""
    if problem.status >= _SERVER_ERROR:
        raise problem
    return Obstacle(reason, f"{what}: the gateway answers {problem.status} ({problem})")
