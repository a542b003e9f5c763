"""What this machine's Container Device Interface files say of its GPUs: which device files and libraries go with each.

A strict reader of JSON and YAML, of as much of CDI as a job needs. A file is the word of the machine's administrator and is read as
such: it must belong to root or to the agent's user, and nobody else may write it; a field that CDI does not have makes it invalid as
a whole. What a job is given of a valid one is narrower: device files below /dev that are no display's and none that every sandbox
has, and shared libraries. Hooks are never run, and sockets, such as those of the driver's own daemons, are not handed on.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from marketplace.domain.errors import InvalidField
from marketplace.domain.json_reader import Reader
from marketplace.provider.executors.devices import DeviceNode

CDI_FOLDERS: Final = (Path("/etc/cdi"), Path("/var/run/cdi"))
"""Where the standard puts them; of two that speak of one device the later folder's counts."""
MOST_BYTES = 1 << 20
MOST_FILES = 64
MOST_ENTRIES = 1_024
"""Of each list in a file."""
_MOST_LETTERS = 4_096

_VERSION = re.compile(r"(0|1)\.\d{1,3}\.\d{1,3}")
_KIND = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,253}/gpu")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,253}")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,127})=([^\0]*)")
_LIBRARY = re.compile(r"lib[A-Za-z0-9_+-]+\.so(\.[A-Za-z0-9_.-]+)?")
_TAKEN = frozenset(
    {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "core", "fd", "mqueue"}
)
_DISPLAYS = "/dev/dri/"


@dataclass(frozen=True, slots=True)
class CdiEdits:
    """What a file adds to a container. ``left_out``: what of it no job is given."""

    nodes: tuple[DeviceNode, ...] = ()
    libraries: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()

    def plus(self, other: CdiEdits) -> CdiEdits:
        """Both, each thing once."""
        return CdiEdits(
            tuple(dict.fromkeys(self.nodes + other.nodes)), tuple(dict.fromkeys(self.libraries + other.libraries)),
            {**self.environment, **other.environment}, tuple(dict.fromkeys(self.left_out + other.left_out)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class CdiGpus:
    """The GPUs that the files name, each with all its edits, and why files are not in force."""

    devices: Mapping[str, CdiEdits]
    problems: tuple[str, ...] = ()

    def of(self, uuid: str, minor: int | None) -> CdiEdits | None:
        """By its UUID; or, where the files number their devices, the one whose own device file is this GPU's."""
        if uuid in self.devices:
            return self.devices[uuid]
        wanted = {f"/dev/nvidia{minor}"} if minor is not None else set()
        for edits in self.devices.values():
            if wanted and {node.path for node in edits.nodes if re.fullmatch(r"/dev/nvidia\d+", node.path)} == wanted:
                return edits
        return None


def read_cdi(folders: Iterable[Path] = CDI_FOLDERS) -> CdiGpus:
    """All files of the folders, those that are not there left out. Never raises: what is wrong with a file is told."""
    devices: dict[str, CdiEdits] = {}
    problems: list[str] = []
    for folder in folders:
        found: dict[str, CdiEdits] = {}
        for path in _files(folder):
            try:
                told = read_cdi_file(_content(path), is_json=path.suffix == ".json")
            except OSError as exc:
                problems.append(f"{path}: {exc.strerror}")
            except InvalidField as exc:
                problems.append(f"{path}: {exc}")
            else:
                if twice := sorted(told.keys() & found.keys()):
                    problems.append(f"{path}: {twice[0]} is in another file of this folder, too: neither is used")
                found |= told
                found = {name: edits for name, edits in found.items() if name not in twice}
        devices |= found
    return CdiGpus(devices, tuple(problems))


def read_cdi_file(content: bytes, *, is_json: bool) -> dict[str, CdiEdits]:
    """The GPUs of one file, by name; none where it is of something else. Raises InvalidField."""
    reader = Reader(_document(content, is_json=is_json), "cdi")
    if not _VERSION.fullmatch(reader.take("cdiVersion", str)):
        raise InvalidField("cdi.cdiVersion", "must be a version from 0.0.0 to 1.999.999")
    kind = reader.take("kind", str)
    reader.take("annotations", dict, {})
    common = _edits(reader)
    tables = _bounded(reader, "devices")
    reader.end()
    devices: dict[str, CdiEdits] = {}
    for number, table in enumerate(tables):
        device = Reader(table, f"cdi.devices[{number}]")
        name = device.take("name", str)
        if not _NAME.fullmatch(name) or name in devices:
            raise InvalidField(device.where("name"), "must be a name of letters, digits, _, ., : and -, each once")
        device.take("annotations", dict, {})
        devices[name] = _edits(device).plus(common)
        device.end()
    return devices if _KIND.fullmatch(kind) else {}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """YAML without aliases, with which a small file can stand for an endless one."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise InvalidField("cdi", "must not use aliases")
        return super().compose_node(parent, index)


def _document(content: bytes, *, is_json: bool) -> Any:
    if len(content) > MOST_BYTES:
        raise InvalidField("cdi", f"must be at most {MOST_BYTES} bytes")
    try:
        text = content.decode()
        return json.loads(text) if is_json else yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError, yaml.YAMLError) as exc:
        raise InvalidField("cdi", f"is not valid {'JSON' if is_json else 'YAML'}: {str(exc).splitlines()[0]}") from None


def _files(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [folder / name for name in names if Path(name).suffix in (".json", ".yaml", ".yml")][:MOST_FILES]


def _content(path: Path) -> bytes:
    """Raises InvalidField where others could have written it."""
    with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            raise InvalidField("cdi", "must be a file of root's or of the agent's user that nobody else can write")
        return stream.read(MOST_BYTES + 1)


def _bounded(reader: Reader, name: str) -> list[Any]:
    found: list[Any] = reader.take(name, list, [])
    if len(found) > MOST_ENTRIES:
        raise InvalidField(reader.where(name), f"must have at most {MOST_ENTRIES} entries")
    return found


def _edits(above: Reader) -> CdiEdits:
    reader = Reader(above.take("containerEdits", dict, {}), above.where("containerEdits"))
    nodes, no_nodes = _nodes(_bounded(reader, "deviceNodes"), reader.where("deviceNodes"))
    libraries, no_libraries = _libraries(_bounded(reader, "mounts"), reader.where("mounts"))
    environment = dict(_variables(_bounded(reader, "env"), reader.where("env")))
    hooks = _bounded(reader, "hooks")
    for name, kind in (("netDevices", list), ("additionalGids", list), ("intelRdt", dict)):
        reader.take(name, kind, kind())
    reader.end()
    # Links and caches of libraries, which is what hooks make, are made for the sandbox by ``devices``.
    left_out = (*no_nodes, *no_libraries, *(["hooks"] if hooks else []))
    return CdiEdits(nodes, libraries, environment, left_out)


def _nodes(tables: list[Any], where: str) -> tuple[tuple[DeviceNode, ...], tuple[str, ...]]:
    nodes: list[DeviceNode] = []
    left_out: list[str] = []
    for number, table in enumerate(tables):
        reader = Reader(table, f"{where}[{number}]")
        path = _path(reader.take("path", str), reader.where("path"))
        host_path = _path(reader.take("hostPath", str, path), reader.where("hostPath"))
        if reader.take("type", str, "c") not in ("c", "u"):
            raise InvalidField(reader.where("type"), "must be c: a job is given character devices only")
        for name in ("major", "minor", "fileMode", "uid", "gid"):
            reader.number(name, 0, 2**32 - 1, 0)
        reader.take("permissions", str, "")
        reader.end()
        inner = PurePosixPath(path).relative_to("/dev") if path.startswith("/dev/") else None
        if inner is None or not host_path.startswith("/dev/") or inner.parts[0] in _TAKEN:
            raise InvalidField(reader.where("path"), "must be below /dev, and none that every sandbox has")
        if path.startswith(_DISPLAYS):
            left_out.append(path)
        else:
            nodes.append(DeviceNode(path, host_path))
    return tuple(nodes), tuple(left_out)


def _libraries(tables: list[Any], where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    libraries: list[str] = []
    left_out: list[str] = []
    for number, table in enumerate(tables):
        reader = Reader(table, f"{where}[{number}]")
        host_path = _path(reader.take("hostPath", str), reader.where("hostPath"))
        inner = _path(reader.take("containerPath", str), reader.where("containerPath"))
        reader.take("options", list, [])
        reader.take("type", str, "")
        reader.end()
        (libraries if _LIBRARY.fullmatch(PurePosixPath(inner).name) else left_out).append(host_path)
    return tuple(libraries), tuple(left_out)


def _variables(entries: list[Any], where: str) -> Iterator[tuple[str, str]]:
    for number, entry in enumerate(entries):
        found = _VARIABLE.fullmatch(entry) if isinstance(entry, str) and len(entry) <= _MOST_LETTERS else None
        if found is None:
            raise InvalidField(f"{where}[{number}]", "must be NAME=value")
        yield found[1], found[2]


def _path(text: str, where: str) -> str:
    """An absolute path in its simplest form."""
    is_plain = (
        text.startswith("/")
        and not text.startswith("//")
        and "\0" not in text
        and ".." not in PurePosixPath(text).parts
    )
    if not is_plain or str(PurePosixPath(text)) != text or len(text) > _MOST_LETTERS:
        raise InvalidField(where, "must be a plain absolute path")
    return text
