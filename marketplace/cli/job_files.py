"""Job files: what `bourse run` can be told, in YAML, under the names of its options. What the command line says goes before."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Final

import typer
import yaml

from marketplace.domain.canonical import shown_name
from marketplace.domain.errors import InvalidField

MOST_BYTES: Final = 1 << 20
NOT_IN_FILES: Final = frozenset({"file", "dry-run", "yes", "json", "keystore", "password-file", "account", "help"})
"""Who pays, whether it is agreed to, and how it is shown: said by who runs it, and not by whoever wrote the file."""


class _Loader(yaml.BaseLoader):  # type: ignore[misc]  # PyYAML has no types
    """Every scalar is text, as on a command line; no key twice, no reference to another place."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("it must not refer to another place of itself (*alias)")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        names = [key.value for key, _ in node.value]
        if len({*map(str, names)}) < len(names):
            raise yaml.YAMLError("it says a key twice")
        return super().construct_mapping(node, deep)


def take_job_file(context: typer.Context, file: Path | None) -> Path | None:
    """The callback of ``--file``: what the file says becomes the defaults of the command's options. Raise InvalidField."""
    if file is not None:
        context.default_map = read_job_file(file, context.command.params)
    return file


def read_job_file(file: Path, options: Any) -> dict[str, Any]:
    """Values by the names of the command's parameters, each as its option would take it. Raise InvalidField naming file and key."""
    by_key = {key: option for option in options if (key := _key(option)) not in NOT_IN_FILES}
    found: dict[str, Any] = {}
    for key, value in _document(file).items():
        if key not in by_key:
            raise InvalidField(f"{file}: {shown_name(key)}", _unknown(key, list(by_key)))
        found[by_key[key].name] = _value(value, by_key[key], f"{file}: {key}")
    return found


def _document(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise InvalidField(str(file), f"must have at most {MOST_BYTES} bytes")
    try:
        document = yaml.load(content, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidField(str(file), f"is not YAML that is read: {' '.join(str(exc).split())}") from exc
    if not isinstance(document, dict) or not all(isinstance(key, str) for key in document):
        raise InvalidField(str(file), "must be keys with values, such as `max-time: 10m`")
    return document


def _key(option: Any) -> str:
    """Its longest name without dashes; of an argument, its name."""
    return str(max(option.opts, key=len).lstrip("-"))


def _unknown(key: str, keys: list[str]) -> str:
    if key in NOT_IN_FILES:
        return "is said on the command line, by who runs the job"
    near = difflib.get_close_matches(key.replace("_", "-"), keys, 1)
    return (
        f"is no option of bourse run; the nearest is {near[0]!r}" if near else "is no option of bourse run (see --help)"
    )


def _value(value: Any, option: Any, where: str) -> Any:
    if getattr(option, "is_flag", False):
        if value not in ("true", "false"):
            raise InvalidField(where, "must be true or false")
        return value == "true"
    if getattr(option, "multiple", False) or option.nargs == -1:
        return _texts(value, option, where)
    if not isinstance(value, str) or not value:
        raise InvalidField(where, "must be one value")
    return value


def _texts(value: Any, option: Any, where: str) -> list[str]:
    if option.name == "env" and isinstance(value, dict):
        value = [f"{name}={text}" for name, text in value.items() if isinstance(text, str)] if _is_flat(value) else None
    if isinstance(value, str) and value and option.nargs != -1:
        return [value]
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise InvalidField(
            where, "must be a list of words" + (", or names with values" if option.name == "env" else "")
        )
    return value


def _is_flat(value: dict[Any, Any]) -> bool:
    return all(isinstance(name, str) and "=" not in name and isinstance(text, str) for name, text in value.items())
