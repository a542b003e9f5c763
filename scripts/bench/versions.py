"""What the bench ran with."""

from __future__ import annotations

import platform
from importlib.metadata import version

LIBRARIES = ("numba", "numpy", "ortools", "scipy")


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that do the work."""
    return {"python": platform.python_version()} | {library: version(library) for library in LIBRARIES}
