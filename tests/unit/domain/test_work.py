"""The work document: read strictly, written canonically."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32, Sha256
from marketplace.domain.limits import PART_BYTES
from marketplace.domain.spec import Group, JobSpec
from marketplace.domain.work import Assignment, Input, Work, read_work, work_name

HASH = Sha256("ab" * 32)
SALT = "5a" * 32
WORK = Work(("python", "träin.py", "💡"), SALT, {"B": "2", "A": "1"}, (Input("/job/in", 10, (HASH,)),), ("/job/out/a",))


def changed(**fields: Any) -> bytes:
    return canonical_json(json.loads(WORK.canonical()) | fields)


def test_work_survives_the_way_to_bytes_and_back() -> None:
    """Reading what was written gives the same work, in any script, and the name that a spec has for it."""
    assert read_work(WORK.canonical()) == WORK
    assert WORK.name == work_name(WORK.canonical())
    assert WORK.name.bytes == len(WORK.canonical())


def test_a_work_may_say_what_it_is_called_and_what_it_goes_on_from() -> None:
    """By the names of the document; a work that says neither has the bytes that it always had."""
    named = replace(WORK, job_name="träin", previous=Bytes32("0x" + "ab" * 32))
    document = json.loads(named.canonical())

    assert (document["name"], document["previous"]) == ("träin", "0x" + "ab" * 32)
    assert read_work(named.canonical()) == named
    assert {"name", "previous"} & set(json.loads(WORK.canonical())) == set()


def test_a_client_may_leave_defaults_out() -> None:
    """The shortest work is the command, the salt and the version."""
    short = canonical_json({"version": 1, "salt": SALT, "command": ["true"]})

    assert read_work(short) == Work(("true",), SALT)


def test_another_salt_is_another_name() -> None:
    """Who guesses a short command cannot tell whether it is this one."""
    assert replace(WORK, salt="00" * 32).name.sha256 != WORK.name.sha256


def test_the_place_in_a_group_cannot_be_hidden() -> None:
    """Rank, size and group come from the spec, whatever the work's variables say."""
    spec = JobSpec(WORK.name, group=Group("ab" * 32, 3, 2))
    told = Assignment(spec, replace(WORK, env={"BOURSE_NODE_RANK": "0", "A": "1"})).environment

    assert told == {"A": "1", "BOURSE_GROUP": "ab" * 32, "BOURSE_NODES": "3", "BOURSE_NODE_RANK": "2"}


def test_parts_are_of_equal_size_but_the_last() -> None:
    """The last part of a bundle is what is left."""
    sized = Input("/job/in", PART_BYTES + 4, (HASH, HASH)).sized_parts()

    assert list(sized) == [(HASH, PART_BYTES), (HASH, 4)]


ONE = {"path": "/job/in", "bytes": 1, "parts": [HASH]}
BAD = [
    ("version", 2), ("command", []), ("command", [""]), ("command", ["a\0b"]), ("command", "ls"), ("salt", "ab"), ("salt", "AB" * 32),
    ("env", {"A=B": "x"}), ("env", {"A": 1}), ("env", {"A": "\0"}),
    ("outputs", ["/etc"]), ("outputs", ["/job/../etc"]), ("outputs", ["/job/out/"]), ("outputs", ["job/out"]), ("outputs", ["/job/o\nut"]),
    ("outputs", ["/job/out", "/job/out/a"]), ("outputs", ["/job/out", "/job/out"]),
    ("inputs", [ONE | {"path": "/job/in/../../etc"}]), ("inputs", [ONE | {"path": "/job/out"}]), ("inputs", [ONE | {"parts": ["zz"]}]),
    ("inputs", [ONE | {"bytes": 0, "parts": []}]), ("inputs", [ONE | {"parts": []}]), ("inputs", [ONE | {"parts": [HASH, HASH]}]),
    ("inputs", [ONE | {"bytes": PART_BYTES + 1}]), ("inputs", [ONE, ONE]), ("inputs", [{"path": "/job/in", "parts": [HASH]}]),
    ("name", "x" * 201), ("name", "two\nlines"), ("name", "\u202e"), ("name", 1), ("previous", "0x12"), ("previous", 1),
    ("image", "host"), ("surprise", 1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BAD)])
def test_work_that_breaks_a_rule_names_the_field(name: str, value: Any) -> None:
    """Every broken rule is an InvalidField below the field that breaks it."""
    with pytest.raises(InvalidField) as caught:
        read_work(changed(**{name: value}))

    assert caught.value.field.startswith(f"work.{name}")


def test_work_that_is_not_canonical_or_too_large_is_refused() -> None:
    """Two byte forms of one document would be two hashes; and nobody reads a gigabyte to learn a command."""
    for content in (json.dumps(json.loads(WORK.canonical()), indent=1).encode(), changed(env={"A": "x" * (1 << 20)})):
        with pytest.raises(InvalidField):
            read_work(content)
