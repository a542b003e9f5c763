"""Unpacking images: what builders write comes out as they meant it, and nothing that anybody writes leads out of the tree."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path

import pytest

from marketplace.domain.errors import ImageUnusable
from marketplace.domain.images import ImageTrouble
from tests.unit.provider.image_layers import (
    END,
    PACKED,
    archive,
    found,
    image,
    item,
    layer,
    pax,
    raw,
    unpacked,
    without_mounts,
)

ORDINARY = {
    "files, folders, links": (
        [
            layer(
                item("bin", "folder"),
                item("bin/a", content=b"1"),
                item("b", "link", "bin/a"),
                item("c", "hard", "bin/a"),
            )
        ],
        {"bin": "/", "bin/a": "1", "b": "-> bin/a", "c": "1"},
    ),
    "a later layer wins": ([layer(item("a", content=b"1")), layer(item("a", content=b"2"))], {"a": "2"}),
    "a whiteout": ([layer(item("d/a"), item("d/b")), layer(item("d/.wh.a"))], {"d": "/", "d/b": ""}),
    "a whiteout of a folder": ([layer(item("d/a/b"), item("e")), layer(item(".wh.d"))], {"e": ""}),
    "a whiteout of nothing": ([layer(item("a"), item(".wh.b"))], {"a": ""}),
    "an opaque folder": (
        [layer(item("d/a"), item("d/e/f")), layer(item("d", "folder"), item("d/.wh..wh..opq"), item("d/b"))],
        {"d": "/", "d/b": ""},
    ),
    "an opaque folder named last": (
        [layer(item("d/a")), layer(item("d/b"), item("d/.wh..wh..opq"))],
        {"d": "/", "d/b": ""},
    ),
    "what an old file system kept": (
        [layer(item("a"), item(".wh..wh.plnk", "folder"), item(".wh..wh.aufs"))],
        {"a": ""},
    ),
    "usr-merge": (
        [
            layer(item("usr/lib", "folder"), item("lib", "link", "usr/lib")),
            layer(item("lib/x", content=b"1"), item("y", "hard", "lib/x")),
        ],
        {"usr": "/", "usr/lib": "/", "lib": "-> usr/lib", "usr/lib/x": "1", "y": "1"},
    ),
    "an absolute link on the way": (
        [layer(item("var/run", "link", "/run"), item("run", "folder"), item("var/run/x"))],
        {"var": "/", "var/run": "-> /run", "run": "/", "run/x": ""},
    ),
    "a folder in the place of a link": (
        [layer(item("a", "link", "/etc")), layer(item("a", "folder"), item("a/b"))],
        {"a": "/", "a/b": ""},
    ),
    "a folder in the place of a file": (
        [layer(item("a")), layer(item("a", "folder"), item("a/b"))],
        {"a": "/", "a/b": ""},
    ),
    "a file in the place of a folder": ([layer(item("a/b/c")), layer(item("a", content=b"1"))], {"a": "1"}),
    "a link in the place of a folder": (
        [layer(item("a/b"), item("c/d")), layer(item("a", "link", "c"), item("a/e"))],
        {"a": "-> c", "c": "/", "c/d": "", "c/e": ""},
    ),
    "a folder named again": ([layer(item("a/b"), item("a", "folder"), item("a/c"))], {"a": "/", "a/b": "", "a/c": ""}),
    "devices and fifos are left out": (
        [layer(item("n", "char"), item("m", "block"), item("p", "fifo"), item("a"))],
        {"a": ""},
    ),
    "absolute names are the image's": ([layer(item("/abs/a"))], {"abs": "/", "abs/a": ""}),
    "dots and doubled slashes": ([layer(item("./x/./y//z"))], {"x": "/", "x/y": "/", "x/y/z": ""}),
    "a dangling link": ([layer(item("a", "link", "nowhere/at/all"))], {"a": "-> nowhere/at/all"}),
    "a link out of it stays a link": (
        [layer(item("a", "link", "../../../../etc/passwd"))],
        {"a": "-> ../../../../etc/passwd"},
    ),
    "no layer at all": ([], {}),
    "an empty layer": ([layer()], {}),
    "an archive without its end": ([layer(item("a"))[:512]], {"a": ""}),
    "the root's own folder": ([archive(raw(b"./", b"5"), raw(b"a"))], {"a": ""}),
    "an old folder": (
        [archive(raw(b"old/", b"\0", magic=bytes(8)), raw(b"old/a", b"\0", magic=bytes(8)))],
        {"old": "/", "old/a": ""},
    ),
    "a global header": ([archive(raw(b"g", b"g", b"19 comment=harmless\n"), raw(b"a"))], {"a": ""}),
    "a name with a line break": ([layer(item("a\nb"))], {"a\nb": ""}),
}


@pytest.mark.parametrize(("layers", "wanted"), ORDINARY.values(), ids=ORDINARY)
def test_what_a_builder_writes_comes_out(layers: list[bytes], wanted: dict[str, str], tmp_path: Path) -> None:
    """Layers lie over each other as the specification of images says."""
    root, _ = unpacked(image(*layers), tmp_path)

    assert without_mounts(found(root)) == wanted


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_every_packing_is_read(packed: str, form: int, tmp_path: Path) -> None:
    """Layers come plain, as gzip or zstd, in each format of tar, with names and links longer than a header holds."""
    longest = "n" * 90 + "/" + "m" * (60 if form == tarfile.USTAR_FORMAT else 200)
    far = "../" * 20 if form == tarfile.USTAR_FORMAT else "../" * 100 + "x"
    root, _ = unpacked(
        image(layer(item(longest, content=b"1"), item("l", "link", far), form=form), packed=packed), tmp_path
    )

    assert (root / longest).read_text() == "1"
    assert os.readlink(root / "l") == far


def test_rights_are_no_more_than_a_job_needs(tmp_path: Path) -> None:
    """Setuid, setgid and sticky bits go; whatever was closed to others is open to read, because the job is another user."""
    items = (item("s", mode=0o6755), item("p", mode=0o600), item("x", mode=0o700), item("d", "folder", mode=0o1000))
    root, _ = unpacked(image(layer(*items)), tmp_path)

    assert {name: oct(stat.S_IMODE((root / name).stat().st_mode)) for name in "spxd"} == {
        "s": "0o755", "p": "0o644", "x": "0o755", "d": "0o755",
    }  # fmt: skip


CANARY = "{canary}"
"""Where in a hostile layer the path of the host's own folder is put."""


def _deep(depth: int) -> str:
    return "/".join("d" * depth)


HOSTILE: dict[str, list[bytes | tuple]] = {
    "a parent folder": [layer(item("../canary/pwn"))],
    "a parent folder inside": [layer(item("a/../../canary/pwn"))],
    "a parent folder at the end": [layer(item("a/.."))],
    "only a parent folder": [layer(item("..", "folder"))],
    "a folder that is a file": [layer(item("f"), item("f/x"))],
    "a folder that is a file below": [layer(item("f")), layer(item("f/x/y"))],
    "a link to itself": [layer(item("l", "link", "l"), item("l/x"))],
    "two links to each other": [layer(item("l", "link", "m"), item("m", "link", "l"), item("m/x"))],
    "through a dangling link": [layer(item("l", "link", "nowhere"), item("l/x"))],
    "through a link to a file": [layer(item("f"), item("l", "link", "f"), item("l/x"))],
    "a hard link to nothing": [layer(item("h", "hard", "nowhere"))],
    "a hard link to a parent folder": [layer(item("h", "hard", "../canary/keep"))],
    "a hard link to a folder": [layer(item("d", "folder"), item("h", "hard", "d"))],
    "a hard link to itself": [layer(item("h", "hard", "h"))],
    "a hard link to the root": [layer(item("h", "hard", "/"))],
    "a hard link below a file": [layer(item("f"), item("h", "hard", "f/x"))],
    "a hard link with NUL": [archive(raw(b"f"), pax(linkpath="f\0x"), raw(b"h", b"1", target=b"f"))],
    "a link with NUL": [archive(pax(linkpath="f\0x"), raw(b"l", b"2", target=b"f"))],
    "a long link with NUL": [archive(raw(b"k", b"K", b"f\0x\0"), raw(b"l", b"2", target=b"f"))],
    "a whiteout of the folder above": [layer(item("d", "folder"), item("d/.wh..."))],
    "a whiteout of the root's parent": [layer(item(".wh..."))],
    "a whiteout of itself": [layer(item("d/.wh.."))],
    "a whiteout of no name": [layer(item("d/.wh."))],
    "a whiteout through a file": [layer(item("f"), item("f/.wh.x"))],
    "a name that is too long": [layer(item("n" * 5000))],
    "a part that is too long": [layer(item("n" * 256))],
    "folders that are too deep": [layer(item(_deep(129)))],
    "a link that is too long": [layer(item("l", "link", "x" * 5000))],
    "a link to no name": [archive(raw(b"l", b"2"))],
    "a hard link to no name": [archive(raw(b"h", b"1"))],
    "NUL in a name": [archive(pax(path="a\0b"), raw(b"a"))],
    "a wrong checksum": [b"x" + raw(b"a")[1:] + END],
    "no archive": [b"no archive at all, but long enough to be a block" * 30],
    "another magic": [archive(raw(b"a", magic=b"ustar\x0001"))],
    "cut short in a header": [raw(b"a")[:300]],
    "cut short in a file": [raw(b"a", b"0", b"", size=b"00000001000\0") + bytes(100)],
    "a file of a terabyte": [raw(b"a", size=b"\x80" + (1 << 40).to_bytes(11, "big"))],
    "a negative size": [archive(raw(b"a", size=b"\xff" * 12))],
    "a size that is no number": [archive(raw(b"a", size=b"zzzzzzzzzzz\0"))],
    "a size in a pax header that is no number": [archive(pax(size="-1"), raw(b"a"))],
    "a size in a pax header that is too large": [archive(pax(size="9" * 30), raw(b"a"))],
    "an entry of no known kind": [archive(raw(b"a", b"Z"))],
    "a sparse file of GNU": [archive(raw(b"a", b"S"))],
    "a sparse file in pax": [archive(pax(GNU__sparse__major="1", GNU__sparse__realsize="1099511627776"), raw(b"a"))],
    "a dump folder of GNU": [archive(raw(b"a", b"D"))],
    "a volume header": [archive(raw(b"a", b"V"))],
    "a long name of a gigabyte": [raw(b"a", b"L", size=b"\x80" + (1 << 30).to_bytes(11, "big")) + bytes(2048)],
    "a long link of a gigabyte": [raw(b"a", b"K", size=b"\x80" + (1 << 30).to_bytes(11, "big")) + bytes(2048)],
    "a pax header of a gigabyte": [raw(b"a", b"x", size=b"\x80" + (1 << 30).to_bytes(11, "big")) + bytes(2048)],
    "a global header of a gigabyte": [raw(b"a", b"g", size=b"\x80" + (1 << 30).to_bytes(11, "big")) + bytes(2048)],
    "a pax record of no length": [archive(raw(b"x", b"x", b"path=a\n"), raw(b"a"))],
    "a pax record that is longer than it is": [archive(raw(b"x", b"x", b"99 path=a\n"), raw(b"a"))],
    "a pax record of length 0": [archive(raw(b"x", b"x", b"0 path=a\n"), raw(b"a"))],
    "a pax record without a value": [archive(raw(b"x", b"x", b"7 path\n"), raw(b"a"))],
    "headers without an entry": [archive(pax(path="a"))],
    "one header after the other": [archive(*[pax(path="a")] * 9, raw(b"a"))],
    "a pax name that leads out": [archive(pax(path="../canary/pwn"), raw(b"a"))],
    "a long name that leads out": [archive(raw(b"x", b"L", b"../canary/pwn\0"), raw(b"a"))],
    "a prefix that leads out": [archive(raw(b"canary/pwn", prefix=b".."))],
    "etc is a link out of it": [layer(item("etc", "link", "nowhere")), layer(item("etc/x"))],
}
CAUGHT: dict[str, list[bytes | tuple]] = {
    "an absolute name": [("/", "file")],
    "through an absolute link": [("a", "link", CANARY), ("a/pwn", "file")],
    "through a relative link": [("a", "link", "../canary"), ("a/pwn", "file")],
    "through links of links": [("a", "link", "../.."), ("b", "link", "a/canary"), ("b/pwn", "file")],
    "over a link": [("k", "link", CANARY + "/keep"), ("k", "file")],
    "a hard link by an absolute name": [("h", "hard", CANARY + "/keep"), ("h", "file")],
    "a hard link through a link": [("a", "link", CANARY), ("h", "hard", "a/keep"), ("h", "file")],
    "a hard link to a link": [("a", "link", CANARY + "/keep"), ("h", "hard", "a"), ("h/x", "file")],
    "a whiteout through a link": [("a", "link", CANARY), ("a/.wh.keep", "file")],
    "a whiteout through a link up": [("a", "link", "../canary"), ("a/.wh.keep", "file")],
    "an opaque folder through a link": [("a", "link", CANARY), ("a/.wh..wh..opq", "file")],
    "an opaque folder through a link up": [("a", "link", "../canary"), ("a/.wh..wh..opq", "file")],
    "an opaque root": [("a", "file"), (".wh..wh..opq", "file")],
    "a folder over a link": [("a", "link", CANARY), ("a", "folder"), ("a/keep", "file")],
    "a folder's rights through a link": [("a", "link", CANARY), ("a/keep", "folder")],
    "through a link of /proc": [("a", "link", "/proc/self/root"), ("a/x", "file")],
    "through a link to the root": [("a", "link", "/"), ("a/x", "file")],
    "through a link above the root": [("a", "link", "../../../../../../../../.."), ("a/x", "file")],
    "proc is a link": [("proc", "link", CANARY)],
    "job is a link": [("job", "link", CANARY)],
    "job/in is a link": [("job/in", "link", CANARY)],
    "job is a file": [("job", "file")],
    "dev is a link": [("dev", "link", CANARY)],
    "tmp is a link": [("tmp", "link", CANARY)],
    "etc is a link": [("etc", "link", CANARY)],
    "hosts is a link": [("etc/hosts", "link", CANARY + "/keep")],
    "hosts is a folder": [("etc/hosts/x", "file")],
    "resolv.conf is a link": [("etc/resolv.conf", "link", "../../canary/new")],
    "hosts is a hard link": [("f", "file"), ("etc/hosts", "hard", "f")],
}


def _items(told: list, canary: Path) -> bytes:
    return layer(*(item(*(word.replace(CANARY, str(canary)) for word in one)) for one in told))


def _is_untouched(canary: Path) -> bool:
    names = sorted(path.name for path in canary.iterdir())
    return names == ["keep"] and (canary / "keep").read_text() == "x" and stat.S_IMODE(canary.stat().st_mode) == 0o750


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A folder of the host's beside the image's root, and a file in it."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "keep").write_text("x")
    folder.chmod(0o750)
    return folder


@pytest.mark.parametrize("layers", HOSTILE.values(), ids=HOSTILE)
def test_hostile_layers_are_refused_whole(layers: list[bytes], canary: Path, tmp_path: Path) -> None:
    """A layer that breaks a rule is refused with a reason, and the host's files are as they were."""
    with pytest.raises(ImageUnusable) as refused:
        unpacked(image(*layers), tmp_path / "image")

    assert refused.value.trouble in (ImageTrouble.REFUSED, ImageTrouble.TOO_BIG)
    assert str(refused.value).isprintable()
    assert _is_untouched(canary)


@pytest.mark.parametrize("told", CAUGHT.values(), ids=CAUGHT)
@pytest.mark.parametrize("split", [False, True], ids=["one layer", "a layer each"])
def test_hostile_names_lead_nowhere(told: list, split: bool, canary: Path, tmp_path: Path) -> None:
    """Links of the image are followed inside of it or not at all, in one layer and from layer to layer."""
    layers = [_items([one], canary) for one in told] if split else [_items(told, canary)]
    try:
        root, _ = unpacked(image(*layers), tmp_path)
    except ImageUnusable:
        assert _is_untouched(canary)
        return
    mounted = ("proc", "dev", "tmp", "etc", "job", "job/in", "job/out", "job/gate")

    assert _is_untouched(canary)
    assert all((root / name).is_dir() and not (root / name).is_symlink() for name in mounted)
    assert all(
        (root / name).read_text() == "" and not (root / name).is_symlink() for name in ("etc/hosts", "etc/resolv.conf")
    )


@pytest.mark.parametrize("packed", PACKED)
def test_a_bomb_is_too_big(packed: str, tmp_path: Path) -> None:
    """What unpacks to more than is allowed is refused while it unpacks, however small it is packed."""
    bomb = image(layer(item("zeros", content=bytes(9 << 20))), packed=packed)
    with pytest.raises(ImageUnusable) as refused:
        unpacked(bomb, tmp_path)

    assert refused.value.trouble is ImageTrouble.TOO_BIG


def test_many_empty_files_are_too_big(tmp_path: Path) -> None:
    """Headers count like contents: many empty files do not pass a limit of bytes."""
    with pytest.raises(ImageUnusable) as refused:
        unpacked(image(layer(*(item(str(n)) for n in range(300)))), tmp_path, 100_000)

    assert refused.value.trouble is ImageTrouble.TOO_BIG


BROKEN = {
    "gzip": {
        "cut": lambda packed: packed[:-20],
        "a byte changed": lambda packed: packed[:200] + bytes([packed[200] ^ 1]) + packed[201:],
        "something behind": lambda packed: packed + b"behind",
        "not packed": lambda _: layer(item("a")),
        "nothing": lambda _: b"",
    },
    "zstd": {
        "cut": lambda packed: packed[:-20],
        "a byte changed": lambda packed: packed[:60] + bytes([packed[60] ^ 1]) + packed[61:],
        "something behind": lambda packed: packed + b"behind",
        "not packed": lambda _: layer(item("a")),
        "nothing": lambda _: b"",
    },
}


@pytest.mark.parametrize(("packed", "how"), [(packed, how) for packed, ways in BROKEN.items() for how in ways])
def test_broken_packing_is_refused(packed: str, how: str, tmp_path: Path) -> None:
    """Damage below the archive is refused like damage in it."""
    made = image(layer(item("a", content=os.urandom(4096))), packed=packed)
    name = made.read().layers[0].digest
    made.blobs[name] = BROKEN[packed][how](made.blobs[name])
    with pytest.raises(ImageUnusable):
        unpacked(made, tmp_path)


def test_other_content_than_promised_is_refused(tmp_path: Path) -> None:
    """A layer that unpacks well, and to something else than the configuration says, is refused."""
    made, other = image(layer(item("a", content=b"1"))), image(layer(item("a", content=b"2")))
    made.blobs[made.read().layers[0].digest] = other.blobs[other.read().layers[0].digest]
    with pytest.raises(ImageUnusable, match="other bytes"):
        unpacked(made, tmp_path)


PASSWD = b"root:x:0:0:root:/root:/bin/sh\nservice:x:101:102::/srv:/bin/false\nodd:x:-1:0::/:\nbare:x:7:7::nowhere:\n"
USERS = {
    "": (0, 0, "/root"), "root": (0, 0, "/root"), "service": (101, 102, "/srv"), "101": (101, 102, "/srv"),
    "service:users": (101, 100, "/srv"), "service:5": (101, 5, "/srv"), "4242": (4242, 0, "/"), "4242:9": (4242, 9, "/"),
    "bare": (7, 7, "/"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "wanted"), USERS.items(), ids=USERS)
def test_a_user_is_the_images_own(said: str, wanted: tuple[int, int, str], tmp_path: Path) -> None:
    """Names are looked up in the image's passwd and group; what is not there is a number."""
    files = layer(item("etc/passwd", content=PASSWD), item("etc/group", content=b"users:x:100:\n"))
    _, user = unpacked(image(files, config={"User": said}), tmp_path)

    assert (user.uid, user.gid, user.home) == wanted


@pytest.mark.parametrize("said", ["nobody-here", "odd", "service:nobody-here", "99999999999", "-1", "root:-1"])
def test_a_user_that_the_image_does_not_know_is_refused(said: str, tmp_path: Path) -> None:
    """A name that is in no passwd of the image's is not looked up on the machine."""
    with pytest.raises(ImageUnusable):
        unpacked(image(layer(item("etc/passwd", content=PASSWD)), config={"User": said}), tmp_path)


def test_accounts_are_not_read_through_a_link_out(tmp_path: Path) -> None:
    """A passwd that is a link to the machine's is no passwd."""
    with pytest.raises(ImageUnusable):
        unpacked(image(layer(item("etc/passwd", "link", "/etc/passwd")), config={"User": "daemon"}), tmp_path)


def test_a_folder_where_the_accounts_should_be_has_none(tmp_path: Path) -> None:
    """Neither the machine's trouble nor a handle that stays open: root is root, and names are not known."""
    made = image(layer(item("etc/passwd", "folder"), item("etc/group", "folder")))
    before = len(os.listdir("/proc/self/fd"))
    _, user = unpacked(made, tmp_path)

    assert (user.uid, user.gid) == (0, 0)
    assert len(os.listdir("/proc/self/fd")) == before


def test_one_entry_is_in_memory(tmp_path: Path) -> None:
    """A large file passes through in pieces, and its hash is right."""
    content = os.urandom(1 << 20) * 5
    root, _ = unpacked(image(layer(item("large", content=content), item("after", content=b"1"))), tmp_path)

    assert (root / "large").read_bytes() == content
    assert (root / "after").read_text() == "1"
