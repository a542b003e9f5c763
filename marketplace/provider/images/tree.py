"""The tree of files that an image unpacks to, written so that nothing an image names leads out of it.

Folders are reached in one system call, ``openat2`` with RESOLVE_IN_ROOT: the kernel follows the image's own links, such as
``lib -> usr/lib``, as if the tree were the whole file system, and knows no way out of it. Last parts of names are never followed.
What a later layer takes away is moved aside, whatever it is, and removed when all is over: nothing here recurses.

All files are readable and all folders open: an image keeps no secret from its job, whatever user that is. Setuid bits go.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.images import ImageTrouble
from marketplace.images.manifests import refused
from marketplace.provider.images.layers import EntryKind, LayerEntry, LayerStream, parts_of

MAX_ENTRIES: Final = 1_000_000
"""Files, folders and links that an image may make or take away, and folders on the way to them."""
_OPENAT2: Final = 437
_NO_MAGIC_LINKS, _NO_OTHER_MOUNTS, _IN_ROOT = 0x02, 0x01, 0x10
_PLACE: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_WHITEOUT, _OPAQUE, _AUFS = b".wh.", b".wh..wh..opq", b".wh..wh."
BROKEN: Final = {
    errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EXDEV, errno.EMLINK, errno.EINVAL, errno.EISDIR, errno.EEXIST,
    errno.ENOENT, errno.EPERM,
}  # fmt: skip
"""What the kernel says of names that make no sense together. All else is this machine's trouble."""

_libc = ctypes.CDLL(None, use_errno=True)


class ImageTree:
    """A tree that is being made, from an empty folder.

    with ImageTree(root, aside) as tree:
        tree.apply(layer_stream)         once for each layer, the lowest first
    """

    def __init__(self, root: Path, aside: Path) -> None:
        """``aside``: an empty folder on the same disk for what is taken away; to be removed afterwards."""
        self._root = os.open(root, _PLACE)
        self._aside = os.open(aside, _PLACE)
        self._moved = self._count = 0
        self._here: tuple[tuple[bytes, ...], int] | None = None
        """The folder in which the last entry was, as long as nothing has been taken away since."""
        self._fresh: set[int] = set()
        """Inodes that the present layer has made or named: what an opaque folder keeps."""

    def __enter__(self) -> ImageTree:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        os.close(self._root)
        os.close(self._aside)

    def apply(self, layer: LayerStream) -> None:
        """Write a layer over those below it. Raises ImageUnusable, and OSError where this machine gives out."""
        self._fresh.clear()
        for entry in layer.entries():
            try:
                self._add(entry, layer)
            except OSError as exc:
                if exc.errno not in BROKEN:
                    raise
                raise refused(f"{entry.name}: {exc.strerror}") from None

    def make_folder(self, path: bytes) -> None:
        """Have a folder there, by the image's own links."""
        self._folder(parts_of(path))

    def require_folders(self, paths: Iterable[bytes]) -> None:
        """Have real folders there, where something is mounted later: no link of the image may lead a mount elsewhere."""
        for path in paths:
            parts = parts_of(path)
            for depth in range(1, len(parts) + 1):
                self._add_folder(self._folder(parts[: depth - 1]), parts[depth - 1], 0o755)

    def require_files(self, paths: Iterable[bytes]) -> None:
        """Have real, empty files there, for the same reason."""
        for path in paths:
            *above, name = parts_of(path)
            folder = self._folder(tuple(above))
            self._take_away(folder, name)
            os.close(os.open(name, _NEW_FILE, 0o644, dir_fd=folder))

    def read(self, path: bytes, most_bytes: int) -> bytes:
        """The beginning of a regular file of the tree, its own links followed inside of it; nothing where there is none."""
        try:
            handle = self._opened(parts_of(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as exc:
            if exc.errno not in BROKEN:
                raise
            return b""
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # Python opens no folder, and would not close it either
            os.close(handle)
            return b""
        with open(handle, "rb") as file:
            return file.read(most_bytes)

    def _add(self, entry: LayerEntry, layer: LayerStream) -> None:
        self._count_one()
        if not entry.parts or entry.kind is EntryKind.DEVICE:
            return
        *above, name = entry.parts
        folder = self._folder(tuple(above))
        if name == _OPAQUE:
            self._clear(folder)
        elif name.startswith(_AUFS):
            return  # what one old file system kept for itself
        elif name.startswith(_WHITEOUT):
            self._white_out(folder, name, entry)
        elif entry.kind is EntryKind.FOLDER:
            self._add_folder(folder, name, entry.mode)
        elif entry.kind is EntryKind.HARD_LINK:
            self._add_hard_link(folder, name, entry)
        elif entry.kind is EntryKind.SYMBOLIC_LINK:
            self._take_away(folder, name)
            os.symlink(entry.target, name, dir_fd=folder)
            self._note(folder, name)
        else:
            self._add_file(folder, name, entry, layer)

    def _white_out(self, folder: int, name: bytes, entry: LayerEntry) -> None:
        hidden = name[len(_WHITEOUT) :]
        if hidden in (b"", b".", b".."):  # ".wh..." would take away the folder above
            raise refused(f"{entry.name} hides nothing that could be there")
        self._take_away(folder, hidden)

    def _add_folder(self, folder: int, name: bytes, mode: int) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            os.mkdir(name, 0o755, dir_fd=folder)
        else:
            if not stat.S_ISDIR(found.st_mode):
                self._take_away(folder, name)
                os.mkdir(name, 0o755, dir_fd=folder)
        os.chmod(name, mode | 0o755, dir_fd=folder)  # of a folder, as was just seen to, and nobody else writes here
        self._note(folder, name)

    def _add_file(self, folder: int, name: bytes, entry: LayerEntry, layer: LayerStream) -> None:
        self._take_away(folder, name)
        with open(os.open(name, _NEW_FILE, 0o600, dir_fd=folder), "wb", buffering=0) as file:
            for piece in layer.content(entry.size):
                file.write(piece)
            os.fchmod(file.fileno(), entry.mode | (0o755 if entry.mode & 0o100 else 0o644))
            self._fresh.add(os.fstat(file.fileno()).st_ino)

    def _add_hard_link(self, folder: int, name: bytes, entry: LayerEntry) -> None:
        *above, last = parts_of(entry.target) or (b"",)
        source = self._opened(tuple(above))
        try:
            found = os.stat(last, dir_fd=source, follow_symlinks=False)
            if not stat.S_ISREG(found.st_mode) and not stat.S_ISLNK(found.st_mode):
                raise refused(f"{entry.name} is a hard link to what is no file")
            self._take_away(folder, name)
            os.link(last, name, src_dir_fd=source, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(source)
        self._note(folder, name)

    def _count_one(self) -> None:
        self._count += 1
        if self._count > MAX_ENTRIES:
            raise ImageUnusable(ImageTrouble.TOO_BIG, f"it has more than {MAX_ENTRIES} files and folders")

    def _note(self, folder: int, name: bytes) -> None:
        self._fresh.add(os.stat(name, dir_fd=folder, follow_symlinks=False).st_ino)

    def _clear(self, folder: int) -> None:
        """Take away what layers below have put in a folder."""
        listed = os.open(f"/proc/self/fd/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        here = os.dup(folder)  # the handle we were given may be let go of on the way
        try:
            with os.scandir(listed) as entries:
                names = [os.fsencode(entry.name) for entry in entries if entry.inode() not in self._fresh]
            for name in names:
                self._take_away(here, name)
        finally:
            os.close(listed)
            os.close(here)

    def _take_away(self, folder: int, name: bytes) -> None:
        """Whatever it is: a file goes, a folder is moved aside with all that is in it."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            self._moved += 1
            os.rename(name, str(self._moved).encode(), src_dir_fd=folder, dst_dir_fd=self._aside)
            self._forget(but=folder)

    def _folder(self, parts: tuple[bytes, ...]) -> int:
        """A handle of a folder, which is made where it is missing; it is ours to close, and the same one for its next entry."""
        if self._here is None or self._here[0] != parts:
            self._forget()
            self._here = parts, self._made(parts)
        return self._here[1]

    def _forget(self, but: int | None = None) -> None:
        """``but``: stays open until another folder is needed; it is found anew then."""
        if self._here is not None and self._here[1] == but:
            self._here = (b"/",), but
        elif self._here is not None:
            os.close(self._here[1])
            self._here = None

    def _made(self, parts: tuple[bytes, ...]) -> int:
        try:
            return self._opened(parts)
        except FileNotFoundError:
            if not parts:
                raise
        self._count_one()
        above = self._made(parts[:-1])
        try:
            os.mkdir(parts[-1], 0o755, dir_fd=above)
        finally:
            os.close(above)
        return self._opened(parts)

    def _opened(self, parts: tuple[bytes, ...], flags: int = _PLACE) -> int:
        """Open a folder of the tree, or what else ``flags`` ask for; raise OSError where there is none."""
        how = (ctypes.c_uint64 * 3)(flags, 0, _IN_ROOT | _NO_MAGIC_LINKS | _NO_OTHER_MOUNTS)
        path = b"/".join(parts) or b"."
        handle: int = _libc.syscall(_OPENAT2, self._root, path, ctypes.byref(how), ctypes.sizeof(how))
        if handle < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return handle
