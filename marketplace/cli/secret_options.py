"""What `--secret` names: never a value, which others could read on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from marketplace.domain.errors import InvalidField


def secrets_of(words: Iterable[str], variables: Mapping[str, str]) -> dict[str, bytes | Path]:
    """The value of each, or its file. Raises InvalidField; it repeats nothing behind a =, which may be a value by mistake."""
    found: dict[str, bytes | Path] = {}
    for word in words:
        name, equals, source = word.partition("=")
        if name in found:
            raise InvalidField("secret", f"{name} is there twice")
        if equals and not source.startswith("@"):
            raise InvalidField("secret", f"{name} must be NAME or NAME=@FILE: a value on a command line is no secret")
        if equals:
            found[name] = Path(source[1:])
        elif name in variables:
            found[name] = variables[name].encode("utf-8", "surrogateescape")
        else:
            raise InvalidField("secret", f"{name} is not set in the environment; or name a file, {name}=@FILE")
    return found
