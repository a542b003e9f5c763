"""Job files: every option of `bourse run` by its name, strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main

from marketplace.cli import run
from marketplace.cli.job_files import MOST_BYTES, NOT_IN_FILES, read_job_file
from marketplace.domain.errors import InvalidField

OPTIONS = typer.main.get_command(run.app).params


def read(folder: Path, text: str) -> dict[str, Any]:
    (folder / "job.yaml").write_text(text)
    return read_job_file(folder / "job.yaml", OPTIONS)


def test_values_are_text_as_on_a_command_line(tmp_path: Path) -> None:
    """YAML's own readings do not matter: a region called no is not false, a price keeps its digits; one value may stand for a list."""
    told = """
    command: [python, train.py, 1e3]
    gpu: RTX4090
    region: [no, eu]
    max-price: 0.40
    max-time: 10m
    memory: 0x10
    seal: true
    wait: false
    env: {A: 1, B: "x=y"}
    """

    assert read(tmp_path, told) == {
        "command": ["python", "train.py", "1e3"], "gpu": ["RTX4090"], "region": ["no", "eu"], "max_price": "0.40",
        "max_time": "10m", "memory": "0x10", "seal": True, "wait": False, "env": ["A=1", "B=x=y"],
    }  # fmt: skip
    assert read(tmp_path, "env: [A=1]") == {"env": ["A=1"]}


def test_every_option_may_stand_in_a_file(tmp_path: Path) -> None:
    """But for who pays, what is agreed to, and how it is shown."""
    keys = {max(option.opts, key=len).lstrip("-") for option in OPTIONS}
    assert keys >= NOT_IN_FILES - {"help"}
    for key in keys - NOT_IN_FILES:
        option = next(option for option in OPTIONS if f"--{key}" in option.opts or option.name == key)
        is_list = option.nargs == -1 or getattr(option, "multiple", False)
        value = "[A=1]" if is_list else "true" if getattr(option, "is_flag", False) else "1"

        assert set(read(tmp_path, f"{key}: {value}")) == {option.name}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_price: 1", "the nearest is 'max-price'"),
        ("gpus-of: x", "the nearest is 'gpus'"),
        ("zzz: x", "no option of bourse run"),
        ("yes: true", "on the command line"),
        ("keystore: /etc/passwd", "on the command line"),
        ("gpu: A10\ngpu: T4", "a key twice"),
        ("gpu: &a A10\nname: *a", "another place"),
        ("name: !!python/object/apply:os.system [true]", "must be one value"),
        ("command: python x.py", "a list of words"),
        ("gpu: []", "a list of words"),
        ("gpu: [[A10]]", "a list of words"),
        ("env: {A: [1]}", "names with values"),
        ("env: {A=B: 1}", "names with values"),
        ("seal: yes", "true or false"),
        ("name: {a: b}", "one value"),
        ("name:", "one value"),
        ("[1]", "keys with values"),
        ("", "keys with values"),
        ("{[a]: 1}", "job.yaml"),
        ("a: [", "is not YAML"),
        ("name: '\x1b'", "is not YAML"),
        ("[" * 5_000, "is not YAML"),
        ("# " + "x" * MOST_BYTES, "at most"),
    ],
    ids=range(23),
)
def test_what_no_option_takes_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    """A key that nothing obeys would mislead; the refusal names file and key, and what is nearest."""
    with pytest.raises(InvalidField, match=words) as caught:
        read(tmp_path, text)
    assert "job.yaml" in caught.value.field
