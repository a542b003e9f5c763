"""Numbers on the command line, read as strictly as amounts: the option parser's own reader takes ``1_0`` and blanks, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

import typer

from marketplace.domain.errors import InvalidField
from marketplace.domain.units import MAX_DIGITS, whole_from_text

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def whole_option(name: str, meaning: str, *, least: int = 0, most: int | None = None) -> Any:
    """The option ``--name``, a whole number in ASCII digits within bounds; InvalidField names it where it is something else."""

    return typer.Option(f"--{name}", help=meaning, parser=_whole(name, least, most), metavar="INTEGER")


def whole_argument(name: str, meaning: str, *, least: int = 0, most: int | None = None) -> Any:
    """The argument of that name, read as ``whole_option`` reads."""
    return typer.Argument(help=meaning, parser=_whole(name, least, most), metavar=name.upper())


def _whole(name: str, least: int, most: int | None) -> Callable[[str | int], int]:
    def read(value: str | int) -> int:
        # A default comes as the number that it is.
        return value if isinstance(value, int) else whole_from_text(value, field=name, least=least, most=most)

    return read


def seconds_option(name: str, meaning: str) -> Any:
    """The option ``--name``, seconds of waiting such as ``30`` or ``2.5``."""

    def read(value: str | float) -> float:
        if not isinstance(value, str):
            return value
        if not _SECONDS.fullmatch(value) or len(value) > MAX_DIGITS:
            raise InvalidField(name, f"{value[:MAX_DIGITS]!a} is not a number of seconds such as 30 or 2.5")
        return float(value)

    return typer.Option(f"--{name}", help=meaning, parser=read, metavar="SECONDS")


HealthPortOption = Annotated[
    int | None,
    whole_option(
        "health-port", "Answer /live and /ready on this port of 127.0.0.1 (0: any; default: not at all).", most=65535
    ),
]
