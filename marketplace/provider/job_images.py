"""A serving's container image: asked for, waited for beside everything else, and what its pull took left off the bill."""

from __future__ import annotations

import threading

from marketplace.domain.blocks import BlockRef
from marketplace.domain.declines import ObstacleReason
from marketplace.domain.errors import DeadlinePassed, ImageUnusable, InvalidField, MarketplaceError
from marketplace.domain.images import ImageName
from marketplace.domain.units import Seconds
from marketplace.domain.work import Assignment, Work
from marketplace.images.registries import Registry
from marketplace.provider.attendance import Attendance, PullOutcome
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER
from marketplace.provider.executors.sandbox import image_user
from marketplace.provider.home import ServingFolder
from marketplace.provider.images.cache import CachedImage, ImageCache
from marketplace.provider.images.policy import ImagePolicy
from marketplace.provider.images.pulling import ImagePuller, Pull
from marketplace.provider.images.sources import ImageSource, LeaseBlobs, RegistryBlobs
from marketplace.provider.inventory import InventoryOffer
from marketplace.provider.preflight import Obstacle
from marketplace.provider.toolbox import Toolbox
from marketplace.store.journal.rows import Serving


class JobImages:
    """Has the images of servings pulled; called again and again with the newest block."""

    def __init__(self, tools: Toolbox) -> None:
        self._tools, self._opening = tools, threading.Lock()
        self._puller: ImagePuller | None = None
        self._cache: ImageCache | None = None

    def obstacle_to(
        self, serving: Serving, attendance: Attendance, task: Assignment, offer: InventoryOffer, head: BlockRef
    ) -> Obstacle | None:
        """Move the pull along; what stands in its way for good. ``attendance.image`` is there once it is."""
        name = task.spec.image_name
        if name is None or attendance.image is not None:
            return None
        if attendance.pull_since is None:
            attendance.pull_since = head.timestamp
        try:
            outcome = attendance.pulling.take(head.number)
        except MarketplaceError as exc:
            attendance.trouble = Obstacle(ObstacleReason.IMAGE_NOT_FOUND, str(exc))
            outcome = None
        if outcome and outcome.image:
            attendance.image, attendance.trouble = outcome.image, None
            if attendance.was_pulling or not outcome.is_warm:
                attendance.pull_seconds = Seconds(head.timestamp - attendance.pull_since)
        elif outcome and outcome.obstacle:
            return outcome.obstacle
        else:
            self._begin(serving, attendance, name, offer.images, head)
        return None

    def _begin(
        self, serving: Serving, attendance: Attendance, name: ImageName, policy: ImagePolicy, head: BlockRef
    ) -> None:
        folder = attendance.folder
        source: ImageSource
        if name.is_blob:
            source = LeaseBlobs([line.api for line in self._tools.gateways], serving.lease)
        else:
            source = RegistryBlobs(
                Registry(name.registry, name.path, policy.private_registries, policy.plain_registries)
            )
        attendance.pulling.begin(lambda: self._pulled(folder, name, source, policy), head.number)

    def _pulled(self, folder: ServingFolder, name: ImageName, source: ImageSource, policy: ImagePolicy) -> PullOutcome:
        """On a thread of its own. What may pass by itself is raised."""
        try:
            puller = self._opened(policy)
            found = puller.found(name, folder.name)
            if found is not None:
                return PullOutcome(found, is_warm=True)
            return PullOutcome(puller.pull(Pull(name, folder.name, source, folder.say_before)))
        except ImageUnusable as exc:
            return PullOutcome(obstacle=Obstacle(ObstacleReason(exc.trouble), f"image {name}: {exc}"))
        except DeadlinePassed as exc:
            return PullOutcome(obstacle=Obstacle(ObstacleReason.IMAGE_NOT_FOUND, f"image {name}: {exc}"))
        except (OSError, MemoryError) as exc:
            return PullOutcome(
                obstacle=Obstacle(ObstacleReason.MACHINE_FAILED, f"image {name}: {type(exc).__name__}: {exc}")
            )

    def _opened(self, policy: ImagePolicy) -> ImagePuller:
        """The cache, from the first job with an image on."""
        with self._opening:
            if self._cache is None or self._puller is None:
                home = self._tools.home.folder
                self._cache = ImageCache(home / "images", home / "servings", 0, image_user(FIRST_JOB_USER))
                self._puller = ImagePuller(self._cache)
            self._cache.quota_bytes = policy.cache_mib << 20
            return self._puller


def command_of(work: Work, image: CachedImage | None) -> tuple[str, ...]:
    """What is started; nothing in a session. The work's words, behind the image's entrypoint where the work asks for that. Raises InvalidField."""
    if work.entrypoint in ("none", "session"):
        return work.command
    if image is None:
        raise InvalidField("work.entrypoint", "needs a container image")
    words = image.record.entrypoint + (work.command or image.record.cmd)
    if not words:
        raise InvalidField("work.entrypoint", "the image names no program, and neither does the command")
    return words
