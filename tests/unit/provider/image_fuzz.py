"""Random layers, half sensible and half broken, against the unpacker: whatever they hold, nothing outside of the tree may change."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from marketplace.domain.errors import ImageUnusable
from marketplace.provider.executors.base import MOUNT_FILES, MOUNT_FOLDERS
from marketplace.provider.executors.removal import remove
from tests.unit.provider.image_layers import END, PACKED, image, pax, raw, unpacked

PARTS = ("a", "b", "lib", "usr", "etc", "job", "in", "proc", "hosts", "passwd", "canary", "keep", "..", ".", "", "tmp")
SPECIAL = (".wh.a", ".wh.lib", ".wh...", ".wh..", ".wh.", ".wh..wh..opq", ".wh.etc", "\udc80", "n" * 255, "n" * 256)
KINDS = b"0000000555552222211117364SLKxgV\0"
LIMIT = 1 << 20


def fuzz(seed: int, goes_on: Callable[[int], bool]) -> tuple[int, int]:
    """Rounds made, and images of them that were unpacked. Raises AssertionError, naming the round, for whatever must not be."""
    rounds = whole = 0
    while goes_on(rounds):
        dice = random.Random(f"{seed}/{rounds}")
        with TemporaryDirectory() as place:
            try:
                whole += _round(dice, Path(place))
            except Exception as exc:
                raise AssertionError(f"seed {seed}, round {rounds}: {type(exc).__name__}: {exc}") from exc
            while not remove(Path(place, "image")):
                pass
        rounds += 1
    return rounds, whole


def _round(dice: random.Random, place: Path) -> bool:
    """One image; whether it could be unpacked."""
    canary = place / "canary"
    canary.mkdir(mode=0o750)
    (canary / "keep").write_text("x")
    before = _seen(canary)
    layers = [_layer(dice, str(canary)) for _ in range(dice.randint(1, 3))]
    root, why = None, ""
    try:
        root, _ = unpacked(image(*layers, packed=dice.choice([*PACKED])), place / "image", LIMIT)
    except ImageUnusable as exc:
        why = str(exc)
    assert why.isprintable(), "a reason must be one printable line"
    assert _seen(canary) == before, "the host's files have changed"
    assert sorted(os.listdir(place)) == ["canary", "image"], "something lies beside the tree"
    if root is not None:
        _check(root)
    return root is not None


def _seen(canary: Path) -> tuple[object, ...]:
    told = [(name, os.lstat(canary / name)) for name in sorted(os.listdir(canary))]
    facts = [(name, status.st_mode, status.st_size, status.st_nlink, status.st_mtime_ns) for name, status in told]
    return (*facts, canary.stat().st_mode)


def _check(root: Path) -> None:
    for name in (*MOUNT_FOLDERS, *MOUNT_FILES):
        status = os.lstat(os.fsencode(root) + b"/" + name)
        assert stat.S_ISDIR(status.st_mode) if name in MOUNT_FOLDERS else stat.S_ISREG(status.st_mode), name
    for here, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            status = os.lstat(os.path.join(here, name))
            assert stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o7000, "a setuid bit is left"
            assert stat.S_IFMT(status.st_mode) in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK), "a device is left"


def _layer(dice: random.Random, canary: str) -> bytes:
    entries = b"".join(_entry(dice, canary) for _ in range(dice.randint(0, 12)))
    content = bytearray(entries + END[: dice.choice((0, 512, 1024, 1024, 1024))])
    for _ in range(dice.choice((0, 0, 0, 1, 4))):
        _damage(dice, content)
    return bytes(content)


def _entry(dice: random.Random, canary: str) -> bytes:
    kind, content = bytes([dice.choice(KINDS)]), b""
    name, target = _name(dice, canary), _name(dice, canary)
    if kind in b"LK":
        content = name + b"\0"
    elif kind in b"xg":
        return pax(
            **{
                dice.choice(("path", "linkpath", "size", "comment")): dice.choice(
                    (name.decode(errors="replace"), "7", "-1")
                )
            }
        )
    elif kind in b"0\0":
        content = dice.randbytes(dice.choice((0, 1, 511, 512, 3_000)))
    fields = {"mode": b"%07o\0" % dice.choice((0o644, 0o755, 0, 0o7777))}
    if dice.random() < 0.05:
        fields["size"] = dice.choice(
            (b"\x80" + dice.randbytes(11), b"77777777777\0", b"%011o\0" % dice.randint(0, 4096))
        )
    return raw(name, kind, content, target, **fields)


def _name(dice: random.Random, canary: str) -> bytes:
    if dice.random() < 0.1:
        return os.fsencode(canary + dice.choice(("", "/keep", "/new")))
    parts = [dice.choice(PARTS) for _ in range(dice.randint(1, 4))]
    if dice.random() < 0.15:
        parts[-1] = dice.choice(SPECIAL)
    return ("/" * (dice.random() < 0.1) + "/".join(parts)).encode("utf-8", "surrogateescape")


def _damage(dice: random.Random, content: bytearray) -> None:
    """Change a byte, and often make its header believable again; or cut, or repeat a block."""
    if not content:
        return
    place = dice.randrange(len(content))
    block = slice(place - place % 512, place - place % 512 + 512)
    what = dice.random()
    if what < 0.7:
        content[place] = dice.randrange(256)
        header = content[block]
        if len(header) == 512 and dice.random() < 0.8:
            header[148:156] = b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * ord(" "))
            content[block] = header
    elif what < 0.85:
        del content[place:]
    else:
        content[block] = content[block] * 2
