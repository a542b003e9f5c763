"""Calls of functions on their way out: code and arguments by cloudpickle, and what calls them on the other side.

Only what we send is pickled: the provider's machine runs our code in a sandbox anyway. What it sends back is another
thing (``client.answers``).
"""

from __future__ import annotations

import io
import json
import pickle
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from marketplace.client import call_worker
from marketplace.client.request import JobRequest
from marketplace.domain.errors import InvalidField

SENT = ".bourse"
"""The folder in /job/in that holds a call."""

_INSTALLED = tuple(
    Path(folder)
    for name, folder in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_by_value = threading.Lock()
"""cloudpickle has one list of modules for the whole process."""


@dataclass(frozen=True, slots=True)
class CallTerms:
    """On what terms functions are called: as which jobs, and what is believed of what comes back."""

    request: JobRequest
    """The job that a call is. Its command is the interpreter, e.g. ``("python",)``; what is called is added."""
    trust_provider: bool = False
    """Unpickle what the provider's machine sends back: whoever runs that can then run anything here."""
    most_bytes: int = 256 << 20
    """Of an answer, with all its arrays."""


def pack(
    terms: CallTerms, function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any], folder: Path
) -> JobRequest:
    """The job that makes this call; its files are written to ``folder``, which must be there until it is submitted.

    Raise InvalidField where function or arguments cannot be pickled.
    """
    worker, package = folder / "call_worker.py", folder / "cloudpickle"
    (folder / "call.pkl").write_bytes(_pickled(function, arguments, named))
    said = {"version": 1, "python": list(sys.version_info[:2]), "trusted": terms.trust_provider}
    (folder / "call.json").write_text(json.dumps(said))
    _copy(call_worker, worker)
    package.mkdir()
    _copy(cloudpickle, package / "__init__.py")
    _copy(cloudpickle.cloudpickle, package / "cloudpickle.py")
    request = terms.request
    return replace(
        request,
        name=request.name or getattr(function, "__name__", type(function).__name__)[:60],
        command=(*request.command, f"{SENT}/call_worker.py"),
        files={**request.files, SENT: folder},
    )


def _copy(module: ModuleType, to: Path) -> None:
    assert module.__file__ is not None, "it is a file"
    to.write_bytes(Path(module.__file__).read_bytes())


def _pickled(function: Callable[..., Any], arguments: Sequence[Any], named: Mapping[str, Any]) -> bytes:
    module = sys.modules.get(getattr(function, "__module__", ""))
    stream = io.BytesIO()
    with _by_value:
        # The other machine has what is installed there, and not the caller's own modules.
        is_ours = (
            module is not None
            and _is_own(module)
            and module.__name__ not in cloudpickle.list_registry_pickle_by_value()
        )
        if module is not None and is_ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            cloudpickle.dump((function, tuple(arguments), dict(named)), stream)
        except (pickle.PicklingError, TypeError, ValueError, AttributeError, RecursionError) as exc:
            raise InvalidField("function", f"it or its arguments cannot be sent: {exc}") from exc
        finally:
            if module is not None and is_ours:
                cloudpickle.unregister_pickle_by_value(module)
    return stream.getvalue()


def _is_own(module: ModuleType) -> bool:
    """Whether it is a file of the caller's: neither the standard library's nor an installed package's."""
    source = getattr(module, "__file__", None)
    return (
        module.__name__ != "__main__"
        and source is not None
        and not any(Path(source).is_relative_to(folder) for folder in _INSTALLED)
    )
