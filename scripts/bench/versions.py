"""What the bench ran with."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib.metadata import version

LIBRARIES = ("numba", "numpy", "ortools", "scipy")


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that clear markets."""
    return versions_of(LIBRARIES)


def versions_of(libraries: Iterable[str]) -> dict[str, str]:
    """Python's version and those of these libraries."""
    return {"python": platform.python_version()} | {library: version(library) for library in libraries}
