"""Whom an image wants to be run as: read from the image's own passwd and group, never from the machine's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from marketplace.images.manifests import refused
from marketplace.provider.images.tree import ImageTree

_MOST_BYTES: Final = 1 << 20
_MOST_ID: Final = 2**31 - 2


@dataclass(frozen=True, slots=True)
class ImageUser:
    """The numbers that a job has inside of its sandbox. They are names only: outside it is a user without rights."""

    uid: int
    gid: int
    home: str


def user_of(said: str, tree: ImageTree) -> ImageUser:
    """``USER`` as a configuration has it: nothing (root), a name, a number, each with or without ``:GROUP``. Raises ImageUnusable."""
    user, _, group = said.partition(":")
    accounts = _lines(tree, b"etc/passwd", 6)
    number = _number(user or "0")
    for name, _, uid, gid, _, home, *_ in accounts:
        if (name == user) if number is None else (_number(uid) == number):
            found = ImageUser(_id(uid), _id(gid), home if home.startswith("/") else "/")
            break
    else:
        if number is None:
            raise refused(f"it is to be run as {user[:40]!r}, whom its own /etc/passwd does not know")
        found = ImageUser(number, 0, "/")
    return ImageUser(found.uid, _group(group, tree), found.home) if group else found


def _group(group: str, tree: ImageTree) -> int:
    number = _number(group)
    if number is not None:
        return number
    for name, _, gid, *_ in _lines(tree, b"etc/group", 3):
        if name == group:
            return _id(gid)
    raise refused(f"it is to be run in the group {group[:40]!r}, which its own /etc/group does not know")


def _lines(tree: ImageTree, path: bytes, least: int) -> list[list[str]]:
    lines = tree.read(path, _MOST_BYTES).decode(errors="replace").splitlines()
    return [words for words in (line.split(":") for line in lines) if len(words) >= least]


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MOST_ID
    return int(text) if is_number else None


def _id(text: str) -> int:
    number = _number(text)
    if number is None:
        raise refused(f"its /etc/passwd or /etc/group says {text[:20]!r} where a number has to be")
    return number
