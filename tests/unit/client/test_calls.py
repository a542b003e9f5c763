"""Calls on their way out and back: pickled here, run by the worker in a process of its own, read as a stranger's files."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marketplace.client.answers import MOST_DEPTH, MOST_JSON_BYTES, read_array, read_files
from marketplace.client.calls import SENT, CallTerms, pack
from marketplace.client.request import JobRequest
from marketplace.domain.errors import InvalidField, RemoteError
from marketplace.domain.units import PricePerGpuHour, Seconds

FACTOR = 3


def tripled(value: int) -> int:
    """A function of a module that no provider has."""
    return FACTOR * value


class Own(Exception):
    """An exception of the caller's own."""


def failing() -> None:
    raise Own("no \x1b]0;luck\x07")


def called(folder: Path, function: Callable[..., Any], *arguments: Any, trusted: bool = False) -> Path:
    """Pack the call, run the worker as a provider does, without anything of ours in reach; the folder of its answer."""
    sent, out = folder / "sent", folder / "out"
    sent.mkdir()
    request = JobRequest(command=("python",), gpus_of=("RTX4090",), max_price=PricePerGpuHour(1), max_time=Seconds(1))
    packed = pack(CallTerms(request, trust_provider=trusted), function, arguments, {}, sent)
    assert packed.command == ("python", f"{SENT}/call_worker.py")
    assert packed.files == {SENT: sent}
    script = f"import runpy, sys; sys.exit(runpy.run_path({str(sent / 'call_worker.py')!r})['main']({str(sent)!r}, {str(out)!r}))"
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=False, timeout=60)
    return out


def test_a_function_of_the_callers_own_module_runs_elsewhere(tmp_path: Path) -> None:
    """What no provider has installed travels with its globals; a tuple comes back as JSON makes it."""
    assert read_files(called(tmp_path, lambda: (tripled(4), {"a": None}))) == [12, {"a": None}]


def test_arrays_come_back_wherever_they_stand(tmp_path: Path) -> None:
    """Bit for bit, in Fortran's order too; a scalar of numpy's comes back as one."""
    out = called(tmp_path, lambda: {"x": [np.asfortranarray(np.arange(6.0).reshape(2, 3))], "y": np.float32(0.5)})

    answer = read_files(out)
    np.testing.assert_array_equal(answer["x"][0], np.arange(6.0).reshape(2, 3))
    assert answer["y"] == np.float32(0.5)
    assert isinstance(answer["y"], np.float32)


def test_an_exception_comes_back_as_text(tmp_path: Path) -> None:
    """Its type by name, its text without what a terminal would obey, and where it was raised; never as an object of that class."""
    with pytest.raises(RemoteError) as caught:
        read_files(called(tmp_path, failing))

    assert caught.value.type_name.endswith("Own")
    assert caught.value.text == "no ␛]0;luck␇"
    assert 'raise Own("no' in caught.value.remote_traceback
    assert "call_worker" not in caught.value.remote_traceback


@pytest.mark.parametrize(
    "value", [{1}, {1: 2}, {"$array": 0}, np.array([object()])], ids=["set", "int key", "our mark", "objects"]
)
def test_what_cannot_be_sent_back_is_said_where_it_ran(tmp_path: Path, value: object) -> None:
    """A set, keys that are not strings, our own mark, arrays of objects: an error that names it, and no answer half written."""
    with pytest.raises(RemoteError, match=r"sent back|is a set|is a dict"):
        read_files(called(tmp_path, lambda: value))


def test_only_a_trusted_provider_is_answered_by_pickle(tmp_path: Path) -> None:
    """The same files are a value for who trusts, and refused unread for who does not."""
    out = called(tmp_path, lambda: {1, 2}, trusted=True)

    assert read_files(out, is_trusted=True) == {1, 2}
    with pytest.raises(InvalidField, match="trust_provider"):
        read_files(out)


def test_what_cannot_be_pickled_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    """A lock is of this process."""
    with pytest.raises(InvalidField, match="cannot be sent"):
        called(tmp_path, len, threading.Lock())


def written(folder: Path, document: object) -> Path:
    text = document if isinstance(document, str) else json.dumps(document)
    (folder / "answer.json").write_text(text)
    return folder


def value(tree: object, **more: object) -> dict[str, object]:
    return {"version": 1, "kind": "value", "value": tree, "arrays": 0} | more


@pytest.mark.parametrize(
    "document",
    [
        "[" * 100_000 + "]" * 100_000,
        value(json.loads("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1))),
        f'"{"x" * MOST_JSON_BYTES}"',
        '{"version": 1, "kind": "value", "arrays": 0, "value": ' + "9" * 5_000 + "}",
        "no JSON",
        "[]",
        value(1, version=2),
        value(1, more=1),
        value(1, arrays=2**40),
        value(1, arrays=1),
        value({"$array": 0}),
        value({"$array": True}),
        {"version": 1, "kind": "run"},
        {"version": 1, "kind": "pickle"},
        {"version": 1, "kind": "error", "type": "x;y", "text": "", "traceback": ""},
        {"version": 1, "kind": "error", "type": "x", "text": 1, "traceback": ""},
    ],
    ids=range(16),
)
def test_an_answer_that_no_worker_wrote_is_refused(tmp_path: Path, document: object) -> None:
    """Deep, huge, of another form, naming what there is not: a typed refusal, each time."""
    with pytest.raises(InvalidField, match=r"^answer"):
        read_files(written(tmp_path, document))


def npy(header: str, content: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + len(header).to_bytes(2, "little") + header.encode() + content


def header(descr: str = "'<f8'", shape: str = "(1,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}"


class Bomb:
    """Unpickled, it does what its maker wants."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('unpickled')",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY\x01\x00",
        npy(header(), b"1234567"),
        npy(header(), b"1234567890"),
        npy(header(shape="(281474976710655,)")),
        npy(header(shape="(281474976710655, 281474976710655, 0)")),
        npy("{'descr': '<f8', 'shape': (1,)}", bytes(8)),
        npy("['<f8', False, (1,)]", bytes(8)),
        npy(header(shape="(-1,)")),
        npy(header(shape="(True,)"), bytes(8)),
        npy(header(shape="[1]"), bytes(8)),
        npy(header(shape="(1,)" + "*9"), bytes(8)),
        npy(header(shape=str((1,) * 33)), bytes(8)),
        npy(header("'|O'"), pickle.dumps(Bomb())),
        npy(header("'|S0'", "(9,)")),
        npy(header("[('a', '|O')]"), bytes(8)),
        npy(header("'<f8,<f8'"), bytes(16)),
        npy("(" * 5_000),
        npy(header(), bytes(8), b"\x03\x00"),
        pickle.dumps(Bomb()),
    ],
    ids=range(20),
)
def test_an_array_that_is_not_what_it_says_is_refused(tmp_path: Path, content: bytes) -> None:
    """Lengths that lie, objects, structures, headers that are programs: refused before memory is asked for."""
    (tmp_path / "0.npy").write_bytes(content)

    with pytest.raises(InvalidField):
        read_array(tmp_path / "0.npy")


@pytest.mark.parametrize("kind", ["?", "i1", "<u8", ">i4", "f2", "<c16", "S3", "<U7", "<M8[ns]", "m8[s]"])
def test_arrays_of_every_plain_kind_are_read(tmp_path: Path, kind: str) -> None:
    """What numpy writes of them is what comes back, empty ones too."""
    for shape in ((2, 3), (0,), ()):
        array = np.zeros(shape, kind)
        stream = io.BytesIO()
        np.save(stream, array)
        (tmp_path / "0.npy").write_bytes(stream.getvalue())

        read = read_array(tmp_path / "0.npy")
        assert (read.dtype, read.shape) == (array[()].dtype, shape)
