"""What came of a job: the result document, whose sha256 is the ``result`` of the provider's receipt.

{"version": 2, "exit_code": 0, "ended": {"by": "job", "reason": "exited"},
 "outputs": [{"path": "/job/out", "bytes": 1, "parts": ["…"], "left_out": [{"path": "link", "why": "…"}]}],
 "log": {"sha256": "…", "bytes": 1, "missing_from": 0, "missing_bytes": 0}}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from marketplace.domain.bundle_rules import LeftOut
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256, sha256, sha256_of
from marketplace.domain.json_reader import Reader
from marketplace.domain.limits import MAX_LEFT_OUT, MAX_OUTPUTS, MAX_PARTS, MAX_RESULT_BYTES
from marketplace.domain.spec import JobSpec, job_path

RESULT_VERSION = 2
_MOST_BYTES = 2**48
_SHOWN_LETTERS = 200


class EndedBy(StrEnum):
    """Whose doing the end of a job was."""

    JOB = "job"
    LIMIT = "limit"
    """Of its own order: time, memory, disk; or of every job: files and folders."""
    CLIENT = "client"
    PROVIDER = "provider"
    MARKET = "market"


class EndedReason(StrEnum):
    """Why a job is over."""

    EXITED = "exited"
    """By itself, with whatever exit code."""
    TIME_LIMIT = "time_limit"
    MEMORY_LIMIT = "memory_limit"
    DISK_LIMIT = "disk_limit"
    FILES_LIMIT = "files_limit"
    """More files, or deeper folders, than any job may have (``domain.limits``)."""
    CANCELLED = "cancelled"
    DISPUTED = "disputed"
    WORK_INVALID = "work_invalid"
    """Its documents or inputs cannot be used."""
    NOT_RUN = "not_run"
    """The provider could not run it."""
    SANDBOX_FAILED = "sandbox_failed"
    STOPPED = "stopped"
    """The provider handed it back."""
    OUTPUTS_LOST = "outputs_lost"
    LEASE_OVER = "lease_over"
    """The chain ended its lease: expired, claimed, voided."""

    @property
    def by(self) -> EndedBy:
        return _BY[self]


_BY = {
    EndedReason.EXITED: EndedBy.JOB,
    EndedReason.TIME_LIMIT: EndedBy.LIMIT,
    EndedReason.MEMORY_LIMIT: EndedBy.LIMIT,
    EndedReason.DISK_LIMIT: EndedBy.LIMIT,
    EndedReason.FILES_LIMIT: EndedBy.LIMIT,
    EndedReason.CANCELLED: EndedBy.CLIENT,
    EndedReason.DISPUTED: EndedBy.CLIENT,
    EndedReason.WORK_INVALID: EndedBy.CLIENT,
    EndedReason.NOT_RUN: EndedBy.PROVIDER,
    EndedReason.SANDBOX_FAILED: EndedBy.PROVIDER,
    EndedReason.STOPPED: EndedBy.PROVIDER,
    EndedReason.OUTPUTS_LOST: EndedBy.PROVIDER,
    EndedReason.LEASE_OVER: EndedBy.MARKET,
}


@dataclass(frozen=True, slots=True)
class Output:
    """A declared output: its bundle in parts, and what is not in it. No bytes: there was nothing to bundle."""

    path: str
    bytes: int
    parts: tuple[Sha256, ...]
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFile:
    """The delivered log. ``missing_bytes`` of what the job printed are not in it, from byte ``missing_from`` on."""

    sha256: Sha256
    bytes: int
    missing_from: int = 0
    missing_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job. ``exit_code`` is its own; None where it did not end by itself, or did not run."""

    exit_code: int | None
    reason: EndedReason
    outputs: tuple[Output, ...]
    log: LogFile

    @property
    def is_success(self) -> bool:
        """Whether the job ended by itself, and well."""
        return self.exit_code == 0 and self.reason is EndedReason.EXITED

    def is_success_of(self, spec: JobSpec) -> bool:
        """The same for the job that the spec is of: a session does well, too, when its time is up."""
        return self.is_success or (spec.session is not None and self.reason is EndedReason.TIME_LIMIT)

    def blobs(self) -> tuple[Sha256, ...]:
        """Every blob that it names, each once, in the order in which they are sent."""
        return tuple(dict.fromkeys([part for output in self.outputs for part in output.parts] + [self.log.sha256]))

    def canonical(self) -> bytes:
        ended = {"by": str(self.reason.by), "reason": str(self.reason)}
        return canonical_json(
            {"version": RESULT_VERSION, "exit_code": self.exit_code, "ended": ended, "log": asdict(self.log)}
            | {"outputs": [asdict(output) for output in self.outputs]}
        )

    @property
    def sha256(self) -> Sha256:
        return sha256_of(self.canonical())

    def __str__(self) -> str:
        """How it ended, in words."""
        code = "" if self.exit_code is None else f"exit code {self.exit_code}"
        ended = (
            "" if self.reason is EndedReason.EXITED else f"ended by {self.reason.by}: {self.reason}".replace("_", " ")
        )
        return ", ".join(filter(None, (code, ended)))


def left_out_of(outputs: Iterable[Output]) -> tuple[LeftOut, ...]:
    """What was not delivered, by its path in the job."""
    return tuple(
        LeftOut(output.path if one.path == "." else f"{output.path}/{one.path}", one.why)
        for output in outputs
        for one in output.left_out
    )


def named(left_out: Iterable[LeftOut], most: int = MAX_LEFT_OUT) -> tuple[LeftOut, ...]:
    """What a document names of it: so many one by one, as a readable line each, and how many more."""
    everything = tuple(left_out)
    shown = tuple(LeftOut(_shown(one.path), _shown(one.why)) for one in everything[:most])
    if len(everything) <= most:
        return shown
    return (*shown, LeftOut(".", f"{len(everything) - most} more are left out"))


def _shown(text: str) -> str:
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= _SHOWN_LETTERS else text[: _SHOWN_LETTERS - 1] + "…"


def read_result(content: bytes) -> Result:
    """Read a result document; raise InvalidField that names the field and the rule."""
    if len(content) > MAX_RESULT_BYTES:
        raise InvalidField("result", f"must be at most {MAX_RESULT_BYTES} bytes")
    reader = Reader(parse_json(content, field="result"), "result")
    reader.number("version", RESULT_VERSION, RESULT_VERSION)
    outputs = reader.take("outputs", list)
    if len(outputs) > MAX_OUTPUTS:
        raise InvalidField("result.outputs", f"must be at most {MAX_OUTPUTS}")
    result = Result(
        exit_code=_exit_code(reader),
        reason=_reason(reader),
        outputs=tuple(_output(item, f"result.outputs[{n}]") for n, item in enumerate(outputs)),
        log=_log(reader),
    )
    reader.end()
    if result.canonical() != content:
        raise InvalidField("result", "must be canonical JSON (RFC 8785), with all of its fields")
    return result


def _exit_code(reader: Reader) -> int | None:
    code: int | None = reader.take("exit_code", int, None)
    if code is not None and not 0 <= code <= 255:
        raise InvalidField("result.exit_code", "must be from 0 to 255, or null")
    return code


def _reason(reader: Reader) -> EndedReason:
    ended = Reader(reader.take("ended", dict), "result.ended")
    by, reason = ended.take("by", str), ended.take("reason", str)
    ended.end()
    if reason not in set(EndedReason):
        raise InvalidField("result.ended.reason", f"must be one of {', '.join(EndedReason)}")
    found = EndedReason(reason)
    if by != found.by:
        raise InvalidField("result.ended.by", f"must be {found.by} where the reason is {found}")
    return found


def _output(value: Any, path: str) -> Output:
    reader = Reader(value, path)
    where = job_path(reader.take("path", str), f"{path}.path")
    size, parts = reader.number("bytes", 0, _MOST_BYTES), reader.texts("parts", limit=MAX_PARTS)
    left_out = reader.take("left_out", list)
    if len(left_out) > MAX_LEFT_OUT + 1:
        raise InvalidField(f"{path}.left_out", f"must name at most {MAX_LEFT_OUT}, and count the rest")
    reader.end()
    return Output(
        where,
        size,
        tuple(sha256(part, field=f"{path}.parts") for part in parts),
        tuple(_left_out(item, f"{path}.left_out[{n}]") for n, item in enumerate(left_out)),
    )


def _left_out(value: Any, path: str) -> LeftOut:
    reader = Reader(value, path)
    found = LeftOut(*(_line(reader.take(name, str), f"{path}.{name}") for name in ("path", "why")))
    reader.end()
    return found


def _line(text: str, field: str) -> str:
    """A line that may be shown to people: somebody else wrote it."""
    if len(text) > _SHOWN_LETTERS or not text.isprintable():
        raise InvalidField(field, f"must be one printable line of at most {_SHOWN_LETTERS} letters")
    return text


def _log(reader: Reader) -> LogFile:
    inner = Reader(reader.take("log", dict), "result.log")
    name = sha256(inner.take("sha256", str), field="result.log.sha256")
    found = LogFile(
        name, *(inner.number(field, 0, _MOST_BYTES) for field in ("bytes", "missing_from", "missing_bytes"))
    )
    inner.end()
    return found
