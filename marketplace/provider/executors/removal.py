"""Removal of what a job left, whatever it is: trees of any depth and width, folders that nobody may enter, odd names.

Nothing here recurses, and no more than three folders are open at a time: each folder's folders are first moved up to the
top, so that what is removed next is never more than one level down.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Final

from marketplace.provider.executors.folders import open_folder

_AT_ONCE: Final = 1_000
"""So many names are read at a time: a folder may hold millions."""
MOST_ENTRIES: Final = 50_000
"""As many are removed in one call, unless it is told otherwise: about a second's work."""


def remove(folder: Path, *, most: int = MOST_ENTRIES) -> bool:
    """Remove a folder with all that is in it, or begin to: False if more than ``most`` entries are in it (call again).

    Only after the job has ended. Raises OSError where the agent's own rights do not suffice, or the disk is broken.
    """
    try:
        top = open_folder(folder)
    except FileNotFoundError:
        return True
    except NotADirectoryError:
        folder.unlink()
        return True
    try:
        is_empty = _empty(top, most)
    finally:
        os.close(top)
    if is_empty:
        os.rmdir(folder)
    return is_empty


def _empty(top: int, most: int) -> bool:
    """Remove what is in the folder, a folder's folders being moved up into it first; False when ``most`` did not suffice."""
    removed = 0
    while entries := _some_of(top):
        for name, is_folder in entries:
            if removed > most:
                return False
            removed += 1
            if not is_folder:
                os.unlink(name, dir_fd=top)
            elif (inside := _flatten(name, top, most - removed)) is None:
                return False
            else:
                removed += inside
    return True


def _flatten(name: str, top: int, most: int) -> int | None:
    """Remove a folder of the top folder, its own folders being moved up; how many entries it had, None if too many."""
    removed = 0
    here = open_folder(name, top)
    try:
        while entries := _some_of(here):
            for inner, is_folder in entries:
                if is_folder:
                    os.close(open_folder(inner, here))  # to be moved it must be writable
                    os.rename(inner, token_hex(16), src_dir_fd=here, dst_dir_fd=top)
                else:
                    os.unlink(inner, dir_fd=here)
            removed += len(entries)
            if removed > most:
                return None
    finally:
        os.close(here)
    os.rmdir(name, dir_fd=top)
    return removed


def _some_of(handle: int) -> list[tuple[str, bool]]:
    """List some of a folder's entries, and whether each is a folder; none when it is empty."""
    with os.scandir(handle) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(entries, _AT_ONCE)]
