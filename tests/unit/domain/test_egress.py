"""Where a job may connect to, as it is written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.egress import MAX_TARGETS, read_target, read_targets
from marketplace.domain.errors import InvalidField
from marketplace.domain.spec import JobSpec, Machine, Resources, read_machine, read_spec
from tests.works import WORK


@pytest.mark.parametrize(
    "text", ["a.example:443", "localhost:1", "xn--bcher-kva.example:65535", "192.0.2.1:80", "[2001:db8::1]:443"]
)
def test_a_host_and_a_port_are_read_as_written(text: str) -> None:
    """Names, and addresses of both kinds in their shortest form."""
    assert str(read_target(text, "egress")) == text


@pytest.mark.parametrize(
    "text",
    [
        "a.example", "a.example:0", "a.example:65536", "a.example:0443", "A.example:443", "*.example:443", "a.example.:443", "-a.example:1",
        "2130706433:80", "127.1:80", "0x7f.0.0.1:80", "192.0.2.01:80", "2001:db8::1:443", "[2001:DB8::1]:443", "[2001:db8:0::1]:443", ":443",
        "a..example:1", "a b:1", "u@a.example:1", f"{'a' * 254}:1", "[a.example]:443", "[fe80::1%eth0]:80", "b\u00fccher.example:443",
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    """No wildcard, no other spelling of a name, and no number that a resolver would take for an address."""
    with pytest.raises(InvalidField):
        read_target(text, "egress")


def test_a_list_is_short_and_says_each_once() -> None:
    """A list that is longer, or repeats one, is refused."""
    many = [f"a{n}.example:443" for n in range(MAX_TARGETS + 1)]
    assert read_targets(many[:-1], "egress") == tuple(many[:-1])
    for wrong in (many, [many[0]] * 2):
        with pytest.raises(InvalidField):
            read_targets(wrong, "egress")


def test_a_spec_says_all_of_it_or_nothing() -> None:
    """Network, list and MiB come together; a spec and a machine without are written as they always were."""
    spec = JobSpec(WORK, network="egress", egress=("a.example:443",), resources=Resources(egress_mib=5))
    assert read_spec(spec.canonical()) == spec
    assert b"egress" not in JobSpec(WORK).canonical()
    for wrong in (replace(spec, egress=()), replace(spec, resources=Resources()), replace(spec, network="none")):
        with pytest.raises(InvalidField, match="egress"):
            read_spec(wrong.canonical())
    machine = Machine("eu", "RTX4090", 1, 1, 1, 16, 1)
    assert b"egress" not in machine.canonical()
    assert read_machine(replace(machine, egress_mib=7).canonical()).egress_mib == 7
    with pytest.raises(InvalidField, match="egress_mib"):
        read_machine(canonical_json(parse_json(machine.canonical(), field="machine") | {"egress_mib": 0}))
