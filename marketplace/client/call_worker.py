"""Runs on the provider's machine, by itself: it is sent along with each call, and imports nothing of this package.

It calls the function and writes down what came of it, in the form that ``client.answers`` reads: ``answer.json``, and an
``.npy`` file for each array in it. Only a call that trusts its provider is answered by a pickle.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

MOST_TEXT, MOST_TRACEBACK = 8_000, 64_000


class CannotBeSent(Exception):
    """The function's value is neither JSON nor arrays."""


class OtherPython(Exception):
    """The function was compiled by another Python than this one."""


def main(sent: str, out: str) -> int:
    """Answer the call in the folder ``sent`` with files in ``out``; the job's exit code: 0 where the function returned."""
    sys.path[:0] = [sent, os.getcwd()]  # cloudpickle as it was packed with; and what else was sent
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(sent, "call.json"), encoding="utf-8") as file:
        call = json.load(file)
    try:
        value = _called(sent, call)
        (_pickled if call["trusted"] else _written)(value, out)
    except BaseException as exc:  # noqa: BLE001  whatever a function raises is the answer to its call
        _answer(out, _error(exc))
        return 1
    return 0


def _called(sent: str, call: dict[str, Any]) -> Any:
    here = list(sys.version_info[:2])
    if call["python"] != here:
        packed, found = (".".join(map(str, version)) for version in (call["python"], here))
        raise OtherPython(f"the function comes from Python {packed}, and this machine runs {found}")
    import cloudpickle  # the one that was sent

    with open(os.path.join(sent, "call.pkl"), "rb") as file:
        function, arguments, named = cloudpickle.load(file)
    return function(*arguments, **named)


def _written(value: Any, out: str) -> None:
    arrays: list[Any] = []
    tree = _tree(value, arrays, "the value")
    for number, array in enumerate(arrays):
        _save(array, os.path.join(out, f"{number}.npy"))
    _answer(out, {"version": 1, "kind": "value", "value": tree, "arrays": len(arrays)})


def _save(array: Any, path: str) -> None:
    import numpy as np

    try:
        np.save(path, array, allow_pickle=False)
    except ValueError as exc:
        raise CannotBeSent(f"an array of {array.dtype} cannot be sent back: {exc}") from None


def _tree(value: Any, arrays: list[Any], where: str) -> Any:
    """The value as JSON, with ``{"$array": n}`` for each array. A tuple becomes a list, as JSON makes it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_tree(item, arrays, f"{where}[{n}]") for n, item in enumerate(value)]
    if isinstance(value, dict):
        if "$array" in value or not all(isinstance(key, str) for key in value):
            raise CannotBeSent(f"{where} is a dict with keys that are not strings, or with the key '$array'")
        return {key: _tree(item, arrays, f"{where}[{key!r}]") for key, item in value.items()}
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        arrays.append(numpy.asarray(value))
        return {"$array": len(arrays) - 1}
    raise CannotBeSent(
        f"{where} is a {type(value).__name__}: JSON and numpy arrays come back, and anything with trust_provider=True"
    )


def _pickled(value: Any, out: str) -> None:
    import cloudpickle

    with open(os.path.join(out, "answer.pkl"), "wb") as file:
        cloudpickle.dump(value, file)
    _answer(out, {"version": 1, "kind": "pickle"})


def _error(exc: BaseException) -> dict[str, Any]:
    kind, trace = type(exc), exc.__traceback__
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    lines = traceback.format_exception(kind, exc, _own(trace))
    text = _safely(lambda: str(exc))
    told = "".join(lines).encode("utf-8", "backslashreplace").decode()[-MOST_TRACEBACK:]
    return {"version": 1, "kind": "error", "type": name[:200], "text": text[:MOST_TEXT], "traceback": told}


def _own(trace: TracebackType | None) -> TracebackType | None:
    """The trace from the called function on, without the frames of this file."""
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__ and trace.tb_next is not None:
        trace = trace.tb_next
    return trace


def _safely(said: Callable[[], str]) -> str:
    try:
        return said().encode("utf-8", "backslashreplace").decode()
    except Exception as exc:  # noqa: BLE001  an exception may not even be able to say itself
        return f"(its text cannot be had: {type(exc).__name__})"


def _answer(out: str, document: dict[str, Any]) -> None:
    with open(os.path.join(out, "answer.json"), "w", encoding="utf-8", errors="surrogatepass") as file:
        json.dump(document, file)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


if __name__ == "__main__":
    sys.exit(main(os.path.dirname(os.path.abspath(__file__)), "/job/out"))
