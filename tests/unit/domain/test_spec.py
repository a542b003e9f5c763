"""The job spec: read strictly, written canonically."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from marketplace.domain.canonical import canonical_json
from marketplace.domain.egress import MAX_EGRESS_MIB
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address, Sha256
from marketplace.domain.spec import (
    Constraints,
    Group,
    JobSpec,
    Machine,
    WorkName,
    read_machine,
    read_spec,
)

HASH = Sha256("ab" * 32)
SPEC = JobSpec(WorkName(HASH, 10))


def changed(**fields: Any) -> bytes:
    return canonical_json(json.loads(SPEC.canonical()) | fields)


def test_a_spec_survives_the_way_to_bytes_and_back() -> None:
    """Reading what was written gives the same spec and the same hash."""
    assert read_spec(SPEC.canonical()) == SPEC


def test_a_client_may_leave_defaults_out() -> None:
    """The shortest spec is the work's name, the image and the version."""
    short = canonical_json({"version": 2, "image": "host", "work": {"sha256": HASH, "bytes": 10}})

    assert read_spec(short) == SPEC


def test_what_is_not_asked_for_is_not_said() -> None:
    """A job is public only where its spec says so; groups and preferred regions are absent, too."""
    for name in (b"group", b"prefer_regions", b"public", b"checkpoint"):
        assert name not in SPEC.canonical()
    assert read_spec(changed(public=True)) == replace(SPEC, public=True)


def test_a_node_of_a_group_and_its_preferred_regions_survive_the_way_to_bytes_and_back() -> None:
    """What is asked for beyond the first version is part of the hash, and read again."""
    node = replace(SPEC, group=Group("ab" * 32, 2, 1), constraints=Constraints(prefer_regions=("eu", "us-east")))

    assert read_spec(node.canonical()) == node
    assert node.sha256 != SPEC.sha256


def test_a_node_finds_its_place_in_plain_variables() -> None:
    """Rank, size and group are all that a job needs to know which part of the work is its own."""
    told = Group("ab" * 32, 3, 2).variables()

    assert told == {"BOURSE_GROUP": "ab" * 32, "BOURSE_NODES": "3", "BOURSE_NODE_RANK": "2"}


NODE = {"id": "ab" * 32, "size": 2, "rank": 0}
BAD = [
    ("version", 1), ("version", True), ("command", ["true"]), ("env", {}), ("inputs", []), ("outputs", []),
    ("image", "ubuntu:latest"), ("image", "--privileged"), ("public", False), ("public", 1), ("work", HASH), ("work", {"sha256": HASH}),
    ("work", {"sha256": "zz", "bytes": 1}), ("work", {"sha256": HASH, "bytes": 0}), ("work", {"sha256": HASH, "bytes": (1 << 20) + 1}),
    ("work", {"sha256": HASH, "bytes": 1, "command": ["true"]}), ("resources", {"gpus": 0}), ("resources", {"gpus": 2**16}), ("resources", {"tpus": 1}),
    ("resources", {"cpus": 10**9}), ("constraints", {"regions": ["EU!"]}), ("constraints", {"providers": ["0x12"]}),
    ("constraints", {"min_reliability_bps": 10_001}), ("network", "host"), ("checkpoint", "/tmp"), ("surprise", 1),
    ("constraints", {"prefer_regions": ["EU!"]}), ("constraints", {"prefer_regions": "eu"}), ("group", "ab" * 32), ("group", {}),
    ("group", NODE | {"id": "AB" * 32}), ("group", NODE | {"id": "ab"}), ("group", NODE | {"size": 1}), ("group", NODE | {"size": 65}),
    ("group", NODE | {"rank": 2}), ("group", NODE | {"rank": -1}), ("group", NODE | {"rank": True}), ("group", NODE | {"leader": 0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), BAD, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BAD)])
def test_a_spec_that_breaks_a_rule_names_the_field(name: str, value: Any) -> None:
    """Every broken rule is an InvalidField below the field that breaks it."""
    with pytest.raises(InvalidField) as caught:
        read_spec(changed(**{name: value}))

    assert caught.value.field.startswith(f"spec.{name}")


def test_a_spec_that_is_not_canonical_is_refused() -> None:
    """Two byte forms of one document would be two hashes."""
    with pytest.raises(InvalidField, match="canonical"):
        read_spec(json.dumps(json.loads(SPEC.canonical()), indent=1).encode())


def test_excluding_a_provider_makes_another_spec() -> None:
    """A retry elsewhere is a new spec, and excluding twice changes nothing more."""
    provider = Address("0x" + "1" * 40)
    once = SPEC.excluding(provider)

    assert once.sha256 != SPEC.sha256
    assert once == once.excluding(provider)


def test_a_machine_that_nobody_measured_says_so() -> None:
    """``measured`` is part of the hashed description."""
    declared = Machine("eu", "RTX4090", 24_576, 2, 8, 65_536, 100_000)

    assert read_machine(declared.canonical()) == declared
    assert b'"measured":false' in declared.canonical()


MACHINE_LIMITS = {
    ("gpu", "vram_mib"): 2**24, ("gpu", "count"): 2**16 - 1, ("", "cpus"): 2**16, ("", "memory_mib"): 2**32,
    ("", "disk_mib"): 2**32, ("", "egress_mib"): MAX_EGRESS_MIB,
}  # fmt: skip


@pytest.mark.parametrize(("table", "name", "most"), [(*place, most) for place, most in MACHINE_LIMITS.items()])
def test_a_machines_number_keeps_its_bounds(table: str, name: str, most: int) -> None:
    """One and the most are fine; nothing and one more are not, and the field is named."""
    for value, is_allowed in ((0, False), (1, True), (most, True), (most + 1, False)):
        machine = json.loads(Machine("eu", "RTX4090", 24_576, 2, 8, 65_536, 100_000, egress_mib=5).canonical())
        (machine[table] if table else machine)[name] = value
        if is_allowed:
            read_machine(canonical_json(machine))
            continue
        with pytest.raises(InvalidField) as caught:
            read_machine(canonical_json(machine))
        assert caught.value.field.rpartition(".")[2] == name


KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcE8xQbX0m1o4mI0lFZ0v4oG1Yw2n8g9yK5dR0o3b7c"


def test_keys_for_ssh_are_read_and_written() -> None:
    """A spec with keys says them in its part ``ssh``, and one without says nothing of it."""
    spec = JobSpec(WorkName(Sha256("ab" * 32), 1), ssh_keys=(KEY,))

    assert b'"ssh":{"keys":["ssh-ed25519 AAAA' in spec.canonical()
    assert read_spec(spec.canonical()) == spec
    assert b"ssh" not in replace(spec, ssh_keys=()).canonical()


@pytest.mark.parametrize(
    "part",
    [
        {"keys": []},
        {"keys": [KEY, KEY]},
        {"keys": [KEY] * 17},
        {"keys": [f"{KEY} someone@example"]},
        {"keys": [f'command="x" {KEY}']},
        {"keys": [f"{KEY}\n{KEY}"]},
        {"keys": ["ssh-dss AAAA"]},
        {"keys": ["ssh-rsa " + "A" * 2000]},
        {"keys": KEY},
        {"keys": [KEY], "port": 22},
        [],
    ],
)
def test_other_keys_for_ssh_are_refused(part: object) -> None:
    """Options, comments, further lines, unknown kinds and too many or too long keys are refused, and the field is named."""
    document = json.loads(JobSpec(WorkName(Sha256("ab" * 32), 1)).canonical()) | {"ssh": part}

    with pytest.raises(InvalidField) as refused:
        read_spec(canonical_json(document))
    assert refused.value.field.startswith("spec.ssh")
