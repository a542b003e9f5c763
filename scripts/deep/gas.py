"""Gas of whole transactions, as the gas tests write it down."""

from __future__ import annotations

from scripts.deep.figures import Measured
from scripts.deep.tools import DeepError


def gas() -> Measured:
    """Take the figures out of the gas snapshot."""
    raise DeepError("there is no gas snapshot yet")
