"""From verified blobs to a tree of files that a sandbox can have as its root."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from marketplace.domain.ids import Sha256
from marketplace.images.manifests import COMPRESSIONS, Descriptor, ImageConfig, ImageManifest, refused
from marketplace.provider.executors.base import MOUNT_FILES, MOUNT_FOLDERS
from marketplace.provider.images.accounts import ImageUser, user_of
from marketplace.provider.images.layers import Spend, opened_layer
from marketplace.provider.images.tree import BROKEN, ImageTree

OpenBlob = Callable[[Descriptor], AbstractContextManager[BinaryIO]]


def unpack_image(
    manifest: ImageManifest, config: ImageConfig, blobs: OpenBlob, root: Path, aside: Path, spend: Spend
) -> ImageUser:
    """Unpack all layers into the empty folder ``root``; say whom the image is to be run as.

    ``spend`` is told of each byte before it is written, headers too, so it bounds the disk as well as the time that is taken.
    Nothing in ``root`` is to be used unless this returns. Raises ImageUnusable, and OSError where this machine gives out.
    """
    with ImageTree(root, aside) as tree:
        for layer, diff_id in zip(manifest.layers, config.rootfs.diff_ids, strict=True):
            with blobs(layer) as packed, opened_layer(packed, COMPRESSIONS[layer.media_type], spend) as stream:
                tree.apply(stream)
                stream.verify(Sha256(diff_id.removeprefix("sha256:")))
        user = user_of(config.run.user or "", tree)
        tree.require_folders(MOUNT_FOLDERS)
        tree.require_files(MOUNT_FILES)
        _make_working_folder(config, tree)
    os.chmod(root, 0o755)
    return user


def _make_working_folder(config: ImageConfig, tree: ImageTree) -> None:
    """Builders leave it to whoever runs the image."""
    try:
        tree.make_folder(os.fsencode(config.run.working_dir or "/"))
    except OSError as exc:
        if exc.errno not in BROKEN:
            raise
        raise refused(f"its working folder is no folder: {exc.strerror}") from None
