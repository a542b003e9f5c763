"""What a stranger's machine answers to a call, read as what a stranger wrote: JSON and plain arrays, and text of exceptions.

Nothing of it is executed. A pickle is read only of a provider that the caller trusts, because reading one is running it.
Everything is bounded: the size of all of it before it is unpacked, the document's size and depth, and each array has to
be exactly as long as its header says.
"""

from __future__ import annotations

import ast
import json
import math
import pickle
import re
import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Final

from marketplace.client.calls import CallTerms
from marketplace.client.job import Job
from marketplace.domain.errors import DomainError, InvalidField, JobFailed, RemoteError, ResultRefused
from marketplace.domain.json_reader import Reader
from marketplace.domain.printable import harmless

MOST_JSON_BYTES: Final = 8 << 20
MOST_DEPTH: Final = 64
MOST_ARRAYS: Final = 1_000
MOST_DIMENSIONS: Final = 32
_MOST_HEADER: Final = 10_000
_MOST_TEXT, _MOST_TRACEBACK, _TAIL = 8_000, 64_000, 2_000

_TYPE_NAME = re.compile(r"[\w.<>]{1,200}")
_DTYPE = re.compile(
    r"[<>|=]?(?:[?bB]1?|[iu][1248]|f(?:2|4|8|16)|c(?:8|16|32)|[SU][1-9][0-9]{0,6}|[mM]8(?:\[[a-zA-Z0-9]{1,16}\])?)"
)
"""Numbers, truth, text and times of a fixed size: no objects, no structures, nothing of size 0."""


def read_answer(job: Job, terms: CallTerms) -> Any:
    """What the function returned. Raise RemoteError where it raised, JobFailed where the job left no answer, ResultRefused for an answer that
    is not read."""
    result = job.result()
    size = sum(output.bytes for output in result.outputs)
    if size > terms.most_bytes:
        raise ResultRefused(job.id, "answer", f"has {size} bytes; at most {terms.most_bytes} are read")
    with TemporaryDirectory(prefix="bourse-") as folder:
        try:
            job.download(Path(folder) / "out")
            if not (Path(folder) / "out" / "answer.json").is_file():
                raise _without_answer(job)
            return read_files(Path(folder) / "out", is_trusted=terms.trust_provider)
        except InvalidField as exc:
            raise ResultRefused(job.id, exc.field, exc.rule) from exc
        except DomainError as exc:
            raise ResultRefused(job.id, "answer", str(exc)) from exc


def read_files(folder: Path, *, is_trusted: bool = False) -> Any:
    """The value in a folder that ``call_worker`` wrote, or somebody who is not it. Raise InvalidField, RemoteError."""
    reader = Reader(_document(folder / "answer.json"), "answer")
    reader.number("version", 1, 1)
    kind = reader.take("kind", str)
    if kind == "error":
        raise _remote_error(reader)
    if kind == "value":
        count = reader.number("arrays", 0, MOST_ARRAYS)
        tree = reader.take("value", object)
        reader.end()
        return _value(tree, [read_array(folder / f"{number}.npy") for number in range(count)], MOST_DEPTH)
    if kind == "pickle" and is_trusted:
        reader.end()
        return _unpickled(folder / "answer.pkl")
    why = (
        "is a pickle, and its provider is not trusted: trust_provider=True runs what it sent"
        if kind == "pickle"
        else "is unknown"
    )
    raise InvalidField("answer.kind", why)


def _without_answer(job: Job) -> JobFailed:
    """The job ended before the function did: by its limits, or the whole interpreter went."""
    result = job.result()
    code = "" if result.exit_code is None else f", exit code {result.exit_code}"
    error = JobFailed(job.id, f"left no answer: {result.ended.by.value}, {result.ended.value}{code}")
    if tail := harmless("".join(job.logs()))[-_TAIL:]:
        error.add_note(f"the end of its log:\n{tail}")
    return error


def _document(path: Path) -> Any:
    size = path.stat().st_size
    if size > MOST_JSON_BYTES:
        raise InvalidField("answer", f"its JSON has {size} bytes; at most {MOST_JSON_BYTES} are read. Return an array")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as exc:
        raise InvalidField("answer", f"is not JSON that is read: {harmless(str(exc))[:200]}") from None


def _remote_error(reader: Reader) -> RemoteError:
    name, text, trace = (reader.take(key, str) for key in ("type", "text", "traceback"))
    reader.end()
    if not _TYPE_NAME.fullmatch(name):
        raise InvalidField("answer.type", "must be the name of a type")
    # It is text for a screen, from somebody else's machine.
    return RemoteError(name, harmless(text)[:_MOST_TEXT], harmless(trace)[-_MOST_TRACEBACK:])


def _value(tree: Any, arrays: list[Any], depth: int) -> Any:
    if isinstance(tree, dict | list) and not depth:
        raise InvalidField("answer.value", f"is nested deeper than {MOST_DEPTH}")
    if isinstance(tree, list):
        return [_value(item, arrays, depth - 1) for item in tree]
    if isinstance(tree, dict):
        return (
            _array_named(tree, arrays)
            if "$array" in tree
            else {key: _value(item, arrays, depth - 1) for key, item in tree.items()}
        )
    return tree


def _array_named(tree: dict[str, Any], arrays: list[Any]) -> Any:
    number = tree["$array"]
    if len(tree) != 1 or type(number) is not int or not 0 <= number < len(arrays):
        raise InvalidField("answer.value", "names an array that there is not")
    return arrays[number]


def read_array(path: Path) -> Any:
    """The numpy array in an ``.npy`` file, which is exactly as long as its header says; a scalar where it has no dimension. Raise InvalidField."""
    import numpy as np  # it is slow to start, and most of what a client does needs none

    field = f"answer.{path.name}"
    if not path.is_file():
        raise InvalidField(field, "is missing")
    with path.open("rb") as file:
        shape, dtype, is_fortran = _header(file, field)
        kind = np.dtype(dtype)
        here, said = path.stat().st_size - file.tell(), math.prod(shape) * kind.itemsize
        if here != said:
            raise InvalidField(field, f"has {here} bytes, and its header says {said}")
        flat = np.fromfile(file, kind, math.prod(shape))
    try:
        array = flat.reshape(shape, order="F" if is_fortran else "C")
    except ValueError as exc:
        raise InvalidField(field, f"its shape cannot be: {exc}") from None
    return array if shape else array[()]


def _header(file: BinaryIO, field: str) -> tuple[tuple[int, ...], str, bool]:
    """Shape, dtype and order, as NumPy's format (versions 1 and 2) has them; without NumPy's reader, which takes structures and objects, too."""
    start = file.read(8)
    if start[:6] != b"\x93NUMPY" or start[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise InvalidField(field, "is not an .npy file")
    form = "<H" if start[6] == 1 else "<I"
    length = file.read(struct.calcsize(form))
    size = struct.unpack(form, length)[0] if len(length) == struct.calcsize(form) else -1
    if not 0 <= size <= _MOST_HEADER:
        raise InvalidField(field, f"its header must have at most {_MOST_HEADER} bytes")
    try:
        said = ast.literal_eval(file.read(size).decode("latin1").strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        raise InvalidField(field, "its header cannot be read") from None
    if not isinstance(said, dict) or set(said) != {"descr", "fortran_order", "shape"}:
        raise InvalidField(field, "its header must say descr, fortran_order and shape")
    return _shape(said["shape"], field), _dtype(said["descr"], field), said["fortran_order"] is True


def _shape(said: Any, field: str) -> tuple[int, ...]:
    is_shape = isinstance(said, tuple) and len(said) <= MOST_DIMENSIONS
    if not is_shape or not all(type(length) is int and 0 <= length < 1 << 48 for length in said):
        raise InvalidField(field, f"its shape must be at most {MOST_DIMENSIONS} lengths")
    return tuple(said)


def _dtype(said: Any, field: str) -> str:
    if not isinstance(said, str) or not _DTYPE.fullmatch(said):
        raise InvalidField(
            field, "its dtype must be numbers, truth, times or text of a fixed size: no objects, no structures"
        )
    return said


def _unpickled(path: Path) -> Any:
    """The value that a trusted provider sent. Raise InvalidField for what is no pickle, or of what is not installed here."""
    try:
        return pickle.loads(path.read_bytes())
    except (
        pickle.UnpicklingError,
        OSError,
        EOFError,
        ImportError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as exc:
        raise InvalidField(
            "answer.pkl", f"cannot be unpickled: {type(exc).__name__}: {harmless(str(exc))[:200]}"
        ) from exc
