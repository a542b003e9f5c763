"""From an opened lease to a job that is ready to run: what is fetched from the gateway, checked, given room, and unpacked.

Nothing here gives a lease back. What stands in the way is told: at once where it will stay, as ``trouble`` where it may pass
(a gateway that is away, or does not deliver). Whether there is time left for that to pass is the timekeeper's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import structlog

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField, MarketplaceError
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import Lease
from marketplace.domain.units import Seconds
from marketplace.domain.work import Assignment
from marketplace.provider import metering
from marketplace.provider.attendance import Attendance
from marketplace.provider.capacity import Capacity, disk_taken_mib
from marketplace.provider.egress.rules import WayOut
from marketplace.provider.executors.base import ExecutionRequest, Limits, open_files_for, processes_for
from marketplace.provider.gateways import InTurn
from marketplace.provider.home import ServingFolder, mark_run
from marketplace.provider.intake import collect_inputs, fetch_assignment, unpack_inputs
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.job_images import JobImages, command_of
from marketplace.provider.listing import Lister
from marketplace.provider.openings import LIVE
from marketplace.provider.preflight import Obstacle, ObstacleReason, obstacle_to
from marketplace.provider.toolbox import Toolbox
from marketplace.provider.unsealing import Unsealer
from marketplace.provider.workspaces import inherited
from marketplace.store.journal.rows import Serving, ServingKey

T = TypeVar("T")

_log = structlog.get_logger()

FETCH_SECONDS = 60.0
"""For a small thing."""
LEAST_BYTES_PER_SECOND = 64 * 1024
"""A gateway that is slower than this with a large one is abandoned, and asked again."""


def seconds_for(size_bytes: int) -> float:
    """How long a transfer may take, by this machine's clock."""
    return FETCH_SECONDS + size_bytes / LEAST_BYTES_PER_SECOND


class Preparing:
    """Makes jobs ready. Called again and again with the newest block until there is a request, or an obstacle."""

    def __init__(self, tools: Toolbox, lister: Lister, capacity: Capacity) -> None:
        self._tools, self._lister, self._capacity = tools, lister, capacity
        self._images = JobImages(tools)

    def prepared(
        self, serving: Serving, attendance: Attendance, lease: Lease, head: BlockRef
    ) -> ExecutionRequest | Obstacle | None:
        """The job ready to run, what stands in its way for good, or None while that is still being found out."""
        offer = self._lister.inventory_offer(serving.offer, serving.order.gpus)
        left = metering.seconds_left(serving.order, lease, head.timestamp)
        if offer is None:
            return Obstacle(ObstacleReason.OFFER_NOT_IN_INVENTORY, f"offer {serving.offer}")
        if left == 0:
            return Obstacle(ObstacleReason.OUT_OF_TIME, "the seconds that the order pays for are used up")
        if (in_the_way := self._made(attendance, head)) or not attendance.is_made:
            return in_the_way
        task = attendance.assignment or self._fetched(serving, attendance, offer, head)
        if not isinstance(task, Assignment):
            return task
        before = self._followed(serving, attendance, task)
        if before is not None and not self._tools.workspaces.is_over(before):
            return None  # first it ends: that gives its GPUs and memory back
        return self._with_room(serving, attendance, task, offer, left, head)

    def _with_room(
        self,
        serving: Serving,
        attendance: Attendance,
        task: Assignment,
        offer: InventoryOffer,
        left: Seconds,
        head: BlockRef,
    ) -> ExecutionRequest | Obstacle | None:
        # Room comes before the inputs: what is unpacked takes disk that must be this job's.
        disk_mib = disk_taken_mib(task.spec.resources.disk_mib, is_sealed=task.work.sealed is not None)
        share = self._capacity.take(serving.key, offer, task.spec.resources, disk_mib)
        attendance.is_waiting_for_room = share is None
        if share is None:
            self._tools.workspaces.make_room()
            return None
        # Both on their way at once; neither is waited for before the other.
        in_the_way = self._images.obstacle_to(serving, attendance, task, offer, head)
        run = attendance.run or self._unpacked(serving, attendance, task, head)
        if in_the_way is not None:
            return in_the_way
        if not isinstance(run, Path):
            return run
        if task.spec.image_name and attendance.image is None:
            return None
        if not self._has_inherited(serving, attendance, task, run, head):
            return None
        try:
            return self._request(attendance, task, run, offer, share.gpus, left)
        except InvalidField as exc:
            return Obstacle(ObstacleReason.SPEC_INVALID, str(exc))

    def _made(self, attendance: Attendance, head: BlockRef) -> Obstacle | None:
        """Its folder, before anything comes into it."""
        if attendance.is_made:
            return None
        found, folder = attendance.making.take(head.number), attendance.folder
        if isinstance(found, Obstacle):
            return found
        attendance.is_made = found is not None
        if not attendance.is_made:
            attendance.making.begin(lambda: _or_obstacle(folder.make), head.number)
        return None

    def _fetched(
        self, serving: Serving, attendance: Attendance, offer: InventoryOffer, head: BlockRef
    ) -> Assignment | Obstacle | None:
        """From every gateway at once: the first that has it all is enough."""
        for answer in attendance.fetching.answers(head.number):
            found = answer.found
            if isinstance(found, Assignment):
                attendance.collecting.prefer(answer.line)
                obstacle = obstacle_to(found, serving.order, offer, self._tools.account)
                attendance.assignment, attendance.trouble = (None if obstacle else found), None
                return obstacle or found
            if found is not None and found.reason.is_about_pair:
                return found
            attendance.trouble = found or Obstacle(ObstacleReason.SPEC_NOT_DELIVERED, str(answer.problem))
            attendance.fetching.defer(answer.line, head.number)
        folder = attendance.folder
        unsealer = Unsealer(self._tools.home.folder, offer.machine.recipient is not None)
        attendance.fetching.begin(
            lambda line: _or_obstacle(
                lambda: fetch_assignment(line.api, serving.lease, serving.order, folder, unsealer)
            ),
            head.number,
            seconds=FETCH_SECONDS,
        )
        return None

    def _unpacked(
        self, serving: Serving, attendance: Attendance, task: Assignment, head: BlockRef
    ) -> Path | Obstacle | None:
        if (in_the_way := self._collected(serving, attendance, task, head)) or not attendance.has_inputs:
            return in_the_way
        found, folder = attendance.unpacking.take(head.number), attendance.folder
        if isinstance(found, Path):
            attendance.run = found
        if found is None:
            attendance.unpacking.begin(lambda: _or_obstacle(lambda: unpack_inputs(task, folder)), head.number)
        return found

    def _followed(self, serving: Serving, attendance: Attendance, task: Assignment) -> ServingKey | None:
        """The session that this one goes on with, if it is here and its files are not copied yet."""
        session = task.spec.session
        if attendance.inheritance.is_over or session is None or not session.follows:
            return None
        live = self._tools.journal.servings(*LIVE)
        return self._tools.workspaces.followed(Bytes32(session.follows), serving.order.client, live)

    def _has_inherited(
        self, serving: Serving, attendance: Attendance, task: Assignment, run: Path, head: BlockRef
    ) -> bool:
        """Whether a session that goes on with another one has what that left; or it follows none."""
        if attendance.inheritance.is_over or task.spec.session is None or not task.spec.session.follows:
            return True
        before, said = self._followed(serving, attendance, task), attendance.inheritance.copying.take(head.number)
        if said is None:
            folder = self._tools.home.serving(*before) if before else None
            attendance.inheritance.copying.begin(
                lambda: _inherited(folder, run, task.spec.resources.disk_mib), head.number
            )
            return False
        attendance.inheritance.source = before
        _log.info("workspace.inherited", lease=serving.lease, said=said)
        attendance.inheritance.is_over = True
        return True

    def _collected(self, serving: Serving, attendance: Attendance, task: Assignment, head: BlockRef) -> Obstacle | None:
        """Its inputs, from one gateway after the other. While one of them has not failed, what is arriving is waited for."""
        if attendance.has_inputs:
            return None
        collecting, folder = attendance.collecting, attendance.folder
        found = _from_one(collecting, head)
        if isinstance(found, Obstacle) and found.reason.is_about_pair:
            return found
        if isinstance(found, Obstacle):
            attendance.trouble = found if collecting.has_failed_everywhere else attendance.trouble
        elif found:
            attendance.has_inputs, attendance.trouble = True, None
            return None
        collecting.begin(
            lambda line: _or_obstacle(lambda: collect_inputs(line.api, serving.lease, task, folder)),
            head.number,
            seconds=seconds_for(sum(item.bytes for item in task.work.inputs)),
        )
        return None

    def _request(
        self,
        attendance: Attendance,
        task: Assignment,
        run: Path,
        offer: InventoryOffer,
        gpus: tuple[str, ...],
        left: Seconds,
    ) -> ExecutionRequest:
        needs, policy = task.spec.resources, self._tools.policy
        limits = Limits(
            cpus=needs.cpus, memory_mib=needs.memory_mib, disk_mib=needs.disk_mib,
            processes=processes_for(needs.cpus, needs.memory_mib), wall_seconds=left + policy.wall_slack_seconds,
            log_bytes=policy.log_bytes, open_files=open_files_for(needs.cpus, needs.memory_mib),
            grace_seconds=policy.grace_seconds, unattended_seconds=policy.unattended_seconds,
        )  # fmt: skip
        image, values = attendance.image, task.secrets.values if task.secrets else {}
        return ExecutionRequest(
            attendance.folder.name, command_of(task.work, image), task.environment, run, limits, gpus,
            image=image.for_job() if image else None, ssh_keys=task.spec.ssh_keys, secrets=values, session=task.spec.session,
            way_out=WayOut(task.spec.egress, needs.egress_mib << 20, offer.local) if task.spec.egress else None,
        )  # fmt: skip


def _inherited(before: ServingFolder | None, run: Path, disk_mib: int) -> str:
    """Never an obstacle: a session without the files of the one before is one all the same, and its log says so."""
    try:
        said = inherited(before, run, disk_mib)
        mark_run(run, said)
    except OSError as exc:
        return f"not copied: {exc}"
    return said


def _from_one(collecting: InTurn[bool | Obstacle], head: BlockRef) -> bool | Obstacle | None:
    """What the gateway whose turn it is has come to; where that is nothing, it is another one's turn."""
    try:
        found = collecting.take(head.number)
    except MarketplaceError as exc:
        return Obstacle(ObstacleReason.INPUT_NOT_DELIVERED, str(exc))
    if isinstance(found, Obstacle) and not found.reason.is_about_pair:
        collecting.pass_on(head.number)
    return found


def _or_obstacle(work: Callable[[], T | Obstacle]) -> T | Obstacle:
    """What the work comes to, or that this machine gave out over it: its disk, its memory."""
    try:
        return work()
    except (OSError, MemoryError) as exc:
        return Obstacle(ObstacleReason.MACHINE_FAILED, f"{type(exc).__name__}: {exc}"[:400])
