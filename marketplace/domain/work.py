"""The work: what is run, with which inputs, and what is to be kept of it. Private to the parties of the lease.

The spec, which is public, names it by hash. It is salted, because a short command could be guessed from a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import combinations
from typing import Any, Literal

from marketplace.domain.bundle_parts import part_sizes
from marketplace.domain.canonical import canonical_json, parse_json, shown_name
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, Sha256, bytes32, sha256, sha256_of
from marketplace.domain.job_secrets import JobSecrets, SecretNames, read_secret_names
from marketplace.domain.json_reader import Reader
from marketplace.domain.limits import (
    MAX_INPUTS,
    MAX_JOB_NAME_LETTERS,
    MAX_OUTPUTS,
    MAX_PARTS,
    MAX_VARIABLES,
    MAX_WORD_BYTES,
    MAX_WORK_BYTES,
    PART_BYTES,
)
from marketplace.domain.printable import harmless_line
from marketplace.domain.spec import JOB_IN, JOB_OUT, JobSpec, WorkName, job_path, read_recipient

WORK_VERSION = 1

_ENV_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")
_SALT = re.compile(r"^[0-9a-f]{64}$")


@dataclass(frozen=True, slots=True)
class Input:
    """A bundle that unpacks below ``path`` before the job starts, as the hashes of its parts in order."""

    path: str
    bytes: int
    parts: tuple[Sha256, ...]

    def sized_parts(self) -> Iterator[tuple[Sha256, int]]:
        """Each part with its size in bytes."""
        return zip(self.parts, part_sizes(self.bytes, self.parts, "parts"), strict=True)


@dataclass(frozen=True, slots=True)
class Sealed:
    """What a sealed job is to run, for whoever has the job's key (``marketplace.sealing``)."""

    recipient: str
    """The public half of the job's key: inputs, outputs and log are sealed to it, too."""
    content: str
    """Command and environment, sealed and armored."""


@dataclass(frozen=True, slots=True)
class Work:
    """Version 1 of the work document."""

    command: tuple[str, ...]
    """Empty in a sealed work that was not opened."""
    salt: str
    """64 hex digits that the client draws at random."""
    env: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    outputs: tuple[str, ...] = (JOB_OUT,)
    sealed: Sealed | None = None
    secrets: SecretNames | None = None
    """The secrets that its provider is handed; their values are in no document."""
    entrypoint: Literal["none", "image", "session"] = "none"
    """``session``: there is no command. ``image``: the command stands behind the image's own entrypoint, and, where it is empty, the image's own words do."""
    job_name: str = ""
    """What its client calls it; for people."""
    previous: Bytes32 | None = None
    """The order of the attempt before this one, where it is ordered again."""

    def canonical(self) -> bytes:
        """The document in its full form. A client may leave defaults out: then its own bytes are the work, not these."""
        document = asdict(self) | {"version": WORK_VERSION}
        for name in ("sealed",) if self.sealed is None else ("command", "env"):
            del document[name]
        if self.secrets is None:
            del document["secrets"]
        if self.entrypoint == "none":
            del document["entrypoint"]
        if self.previous is None:
            del document["previous"]
        if job_name := document.pop("job_name"):
            document["name"] = job_name
        return canonical_json(document)

    def opened_content(self) -> bytes:
        """What is sealed of it in a sealed job."""
        return canonical_json({"command": list(self.command), "env": dict(self.env)})

    def opened_with(self, content: bytes) -> Work:
        """The same sealed work with what was sealed in it; raise InvalidField where that is no command."""
        reader = Reader(parse_json(content, field="work.sealed.content"), "work")
        opened = replace(self, command=_command(reader, self.entrypoint), env=_env(reader))
        reader.end()
        return opened

    @property
    def name(self) -> WorkName:
        return work_name(self.canonical())


@dataclass(frozen=True, slots=True)
class Assignment:
    """All that a provider is told about a job."""

    spec: JobSpec
    work: Work
    secrets: JobSecrets | None = None

    def __post_init__(self) -> None:
        """Raise InvalidField where spec and work differ on whether it is a session."""
        if (self.work.entrypoint == "session") != (self.spec.session is not None):
            raise InvalidField("work.entrypoint", 'must be "session" where the spec is one, and only there')

    @property
    def environment(self) -> dict[str, str]:
        """The job's own variables, and its place in its group: nothing that ``env`` says can hide that."""
        group = self.spec.group
        return dict(self.work.env) | (group.variables() if group else {})


def work_name(content: bytes) -> WorkName:
    """What a spec says of a work document."""
    return WorkName(sha256_of(content), len(content))


def read_work(content: bytes) -> Work:
    """Read a work document; raise InvalidField that names the field and the rule."""
    if len(content) > MAX_WORK_BYTES:
        raise InvalidField("work", f"must be at most {MAX_WORK_BYTES} bytes")
    document = parse_json(content, field="work")
    reader = Reader(document, "work")
    reader.number("version", WORK_VERSION, WORK_VERSION)
    sealed = _sealed(reader)
    entrypoint = _entrypoint(reader)
    command, env = (_command(reader, entrypoint), _env(reader)) if sealed is None else ((), {})
    secrets = read_secret_names(reader)
    work = Work(
        command, _salt(reader), env, _inputs(reader), _outputs(reader), sealed, secrets, entrypoint, _job_name(reader), _previous(reader)
    )  # fmt: skip
    reader.end()
    if canonical_json(document) != content:
        raise InvalidField("work", "must be canonical JSON (RFC 8785)")
    return work


def _sealed(reader: Reader) -> Sealed | None:
    value = reader.take("sealed", dict, None)
    if value is None:
        return None
    inner = Reader(value, "work.sealed")
    found = Sealed(read_recipient(inner, "recipient"), inner.take("content", str))
    inner.end()
    return found


def _entrypoint(reader: Reader) -> Literal["none", "image", "session"]:
    said = reader.take("entrypoint", str, "none")
    if said not in ("none", "image", "session"):
        raise InvalidField("work.entrypoint", 'must be "image" or "session", or absent')
    return "image" if said == "image" else "session" if said == "session" else "none"


def _job_name(reader: Reader) -> str:
    name: str = reader.take("name", str, "")
    if len(name) > MAX_JOB_NAME_LETTERS or harmless_line(name) != name:
        raise InvalidField("work.name", f"must be one printable line of at most {MAX_JOB_NAME_LETTERS} letters")
    return name


def _previous(reader: Reader) -> Bytes32 | None:
    said = reader.take("previous", str, None)
    return None if said is None else bytes32(said, field="work.previous")


def _command(reader: Reader, entrypoint: str) -> tuple[str, ...]:
    command = reader.texts("command", limit=1024)
    if entrypoint == "session" and command:
        raise InvalidField("work.command", "must be empty in a session")
    if entrypoint == "none" and not (command and command[0]):
        raise InvalidField("work.command", "must name a program")
    if not all(map(_is_word, command)):
        raise InvalidField("work.command", f"must be words of at most {MAX_WORD_BYTES} bytes each")
    return command


def _salt(reader: Reader) -> str:
    salt: str = reader.take("salt", str)
    if not _SALT.fullmatch(salt):
        raise InvalidField("work.salt", "must be 64 lower-case hex digits")
    return salt


def _env(reader: Reader) -> dict[str, str]:
    env = reader.take("env", dict, {})
    if len(env) > MAX_VARIABLES:
        raise InvalidField("work.env", f"must be at most {MAX_VARIABLES}")
    for name, value in env.items():
        if not _ENV_NAME.fullmatch(name) or not isinstance(value, str) or "\0" in value:
            raise InvalidField(f"work.env.{shown_name(name)}", "must be a plain name with a string without NUL")
        if not _is_word(f"{name}={value}"):
            raise InvalidField(f"work.env.{name}", f"must be at most {MAX_WORD_BYTES} bytes with its name")
    return dict(env)


def _is_word(text: str) -> bool:
    """Whether a process can be given it. What is no text (a lone surrogate) is refused with the whole document."""
    return len(text.encode("utf-8", "surrogatepass")) <= MAX_WORD_BYTES


def _inputs(reader: Reader) -> tuple[Input, ...]:
    values = reader.take("inputs", list, [])
    if len(values) > MAX_INPUTS:
        raise InvalidField("work.inputs", f"must be at most {MAX_INPUTS}")
    found = tuple(_input(item, f"work.inputs[{n}]") for n, item in enumerate(values))
    if len({item.path for item in found}) < len(found):
        raise InvalidField("work.inputs", "must each have a path of its own")
    if sum(len(item.parts) for item in found) > MAX_PARTS:
        raise InvalidField("work.inputs", f"must have at most {MAX_PARTS} parts in all")
    return found


def _input(value: Any, path: str) -> Input:
    reader = Reader(value, path)
    where = job_path(reader.take("path", str), f"{path}.path")
    if where != JOB_IN and not where.startswith(JOB_IN + "/"):
        raise InvalidField(f"{path}.path", f"must be {JOB_IN} or below")
    size = reader.number("bytes", 1, MAX_PARTS * PART_BYTES)
    names = reader.texts("parts", limit=MAX_PARTS)
    parts = tuple(sha256(name, field=f"{path}.parts[{n}]") for n, name in enumerate(names))
    part_sizes(size, parts, f"{path}.parts")
    reader.end()
    return Input(where, size, parts)


def _outputs(reader: Reader) -> tuple[str, ...]:
    """Where one lies in another, the same bytes would be bundled twice."""
    paths = tuple(job_path(path, "work.outputs") for path in reader.texts("outputs", [JOB_OUT], limit=MAX_OUTPUTS))
    for one, other in combinations(paths, 2):
        if one == other or one.startswith(other + "/") or other.startswith(one + "/"):
            raise InvalidField("work.outputs", f"must not overlap: {one} and {other}")
    return paths
