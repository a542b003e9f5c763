"""From what a client asks for to the spec and the order that say it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketplace.client.request import JobRequest, files_named, nodes_of, order_again, order_for, prepare, terms_of
from marketplace.client.trust import Roles
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import ZERO_ADDRESS, Address, bytes32_of, sha256_of
from marketplace.domain.spec import read_spec
from marketplace.domain.units import PricePerGpuHour, Seconds, TokenUnits, UnixTime
from marketplace.domain.unpacking import unpack_bundle
from marketplace.domain.work import read_work, work_name

CLIENT, OPENER, ARBITER, TOKEN = (Address("0x" + digit * 40) for digit in "abcd")
ROLES = Roles(OPENER, ARBITER)


def a_request(**changed: Any) -> JobRequest:
    request = JobRequest(
        command=("python", "train.py"), gpus_of=("RTX4090",), max_price=PricePerGpuHour(400_000), max_time=Seconds(600)
    )
    return replace(request, **changed)


def test_an_order_names_the_scheduler_the_arbiter_and_the_spec() -> None:
    """P-22: an opener is named, so that nobody else picks the offer; the salt is fresh each time."""
    spec = prepare(a_request()).spec.sha256

    first, second = (
        order_for(a_request(gpus_of=("rtx4090", "RTX3090")), spec, client=CLIENT, roles=ROLES, now=UnixTime(1_000))
        for _ in range(2)
    )

    assert (first.opener, first.arbiter, first.client, first.acceptor) == (OPENER, ARBITER, CLIENT, ZERO_ADDRESS)
    assert first.spec == bytes32_of(spec)
    assert first.classes == 0b11
    assert first.expires_at == 1_600
    assert first.salt != second.salt


def test_ordering_again_changes_the_lease_and_nothing_that_was_promised() -> None:
    """A retry has the same limits, another spec, a later expiry and another salt."""
    order = order_for(a_request(), sha256_of(b"1"), client=CLIENT, roles=ROLES, now=UnixTime(1_000))

    again = order_again(order, sha256_of(b"2"), now=UnixTime(2_000), expires_in=Seconds(60))

    assert again.salt != order.salt
    assert replace(again, salt=order.salt, spec=order.spec, expires_at=order.expires_at) == order
    assert again.expires_at == 2_060


def test_inputs_and_named_files_travel_in_one_bundle(tmp_path: Path) -> None:
    """The folder's content and the files that the command names unpack side by side in /job/in."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.csv").write_text("1,2")
    (tmp_path / "train.py").write_text("pass")

    prepared = prepare(a_request(inputs=tmp_path / "data", files={"train.py": tmp_path / "train.py"}))

    assert prepared.inputs
    bundle = prepared.inputs.content()
    unpack_bundle(bundle, tmp_path / "in", Allowance(10_000))
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["digits.csv", "train.py"]
    (listed,) = read_work(prepared.work_bytes).inputs
    assert (listed.path, listed.parts, listed.bytes) == ("/job/in", (sha256_of(bundle),), len(bundle))


def test_a_request_without_files_has_no_inputs() -> None:
    """Nothing is uploaded."""
    assert prepare(a_request()).inputs is None
    assert read_work(prepare(a_request()).work_bytes).inputs == ()


def test_the_same_request_twice_is_another_work() -> None:
    """Work is salted: that two jobs run the same is not to be seen from their hashes."""
    first, second = (prepare(a_request()) for _ in range(2))

    assert first.spec.work == work_name(first.work_bytes)
    assert first.spec.work != second.spec.work


def test_the_same_name_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two was meant is not ours to guess."""
    (tmp_path / "data").mkdir()
    for place in (tmp_path, tmp_path / "data"):
        (place / "train.py").write_text(str(place))

    with pytest.raises(InvalidField) as refused:
        prepare(a_request(inputs=tmp_path / "data", files={"train.py": tmp_path / "train.py"}))
    assert refused.value.field == "input"


def test_words_that_name_local_files_are_found(tmp_path: Path) -> None:
    """Relative files below the folder only: other paths speak of the provider's machine."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "train.py").write_text("pass")
    outside = tmp_path.parent / "outside.py"
    outside.write_text("pass")

    found = files_named(("python", "src/train.py", "src", "../outside.py", str(outside), "--epochs", ""), tmp_path)

    assert found == {"src/train.py": tmp_path / "src" / "train.py"}


def test_patience_is_a_share_of_the_markets_own_windows() -> None:
    """Unless the client says otherwise."""
    assert terms_of(a_request(), Seconds(5)).silent_after_seconds == 15
    assert terms_of(a_request(silent_after=Seconds(7)), Seconds(5)).silent_after_seconds == 7


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"command": ()}, "work.command"),
        ({"outputs": ("/etc",)}, "work.outputs"),
        ({"env": {"1X": "y"}}, "work.env.1X"),
        ({"regions": ("EU!",)}, "spec.constraints.regions"),
        ({"memory_mib": 1}, "spec.resources.memory_mib"),
        ({"inputs": Path("/does/not/exist")}, "input"),
        ({"sealed": True, "public": True}, "sealed"),
    ],
)
def test_what_the_spec_does_not_allow_is_refused_before_anything_is_sent(changed: dict[str, Any], field: str) -> None:
    """The field is named."""
    with pytest.raises(InvalidField) as refused:
        prepare(a_request(**changed))
    assert refused.value.field == field


def test_a_tip_is_for_a_named_opener() -> None:
    """An order for a reservation names none, and where anybody may open, nobody is to be rewarded."""
    tipped = a_request(tip=TokenUnits(1))
    nobody = Roles(ZERO_ADDRESS, ARBITER)

    assert order_for(tipped, sha256_of(b""), client=CLIENT, roles=ROLES, now=UnixTime(0)).tip == 1
    for request, roles in ((tipped, nobody), (replace(tipped, starts_at=UnixTime(9_000)), ROLES)):
        with pytest.raises(InvalidField, match="tip: needs a named opener"):
            order_for(request, sha256_of(b""), client=CLIENT, roles=roles, now=UnixTime(0))


def test_an_unknown_gpu_class_is_refused_with_names_that_are_near() -> None:
    """The order cannot be made."""
    with pytest.raises(InvalidField, match="RTX4090"):
        order_for(a_request(gpus_of=("RTX4091",)), sha256_of(b""), client=CLIENT, roles=ROLES, now=UnixTime(0))


def test_the_nodes_of_a_group_differ_by_their_rank_only(tmp_path: Path) -> None:
    """One group id, drawn anew every time, and one work and one bundle of inputs for all."""
    (tmp_path / "data.txt").write_text("1 2 3")
    request = a_request(inputs=tmp_path, prefer_regions=("eu",))

    nodes, others = nodes_of(request, 3), nodes_of(request, 3)

    assert {node.spec.group.id for node in nodes if node.spec.group} != {
        node.spec.group.id for node in others if node.spec.group
    }
    assert [node.spec.group.rank for node in nodes if node.spec.group] == [0, 1, 2]
    assert len({replace(node.spec, group=None).sha256 for node in nodes}) == 1
    assert {work_name(node.work_bytes) for node in nodes} == {nodes[0].spec.work}
    assert {node.parts for node in nodes} == {prepare(request).parts}
    assert all(read_spec(node.spec_bytes) == node.spec for node in nodes)


@pytest.mark.parametrize(
    ("size", "changed", "field"), [(1, {}, "nodes"), (65, {}, "nodes"), (2, {"offer": 7}, "offer")]
)
def test_a_group_has_2_to_64_nodes_and_no_single_offer(size: int, changed: dict[str, Any], field: str) -> None:
    """Every node gets an offer of its own, so none can be pinned."""
    with pytest.raises(InvalidField) as caught:
        nodes_of(a_request(**changed), size)

    assert caught.value.field == field


def test_a_provider_that_is_excluded_by_a_mistyped_address_is_named() -> None:
    """A wrong checksum would exclude nobody; in one case or with its own capitals the address is taken (EIP-55)."""
    written = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"

    spec = prepare(a_request(exclude_providers=(Address(written),))).spec

    assert spec.constraints.exclude_providers == (written.lower(),)
    with pytest.raises(InvalidField) as caught:
        prepare(a_request(exclude_providers=(Address(written.replace("Cd", "cd")),)))
    assert caught.value.field == "exclude_providers"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"egress": ("*:443",)}, "spec.egress[0]"),
        ({"image": "a/b@sha256:" + "0" * 64}, "spec.image"),
        ({"image": "registry.example/a:1"}, "spec.image"),
        ({"entrypoint": "image"}, "entrypoint"),
    ],
)
def test_what_nobody_can_run_is_not_signed(asked: dict[str, Any], field: str) -> None:
    """It would be matched and declined by everyone, at their gas: the request names it before anything is sent."""
    with pytest.raises(InvalidField) as refused:
        prepare(a_request(**asked))

    assert refused.value.field == field


def test_inputs_larger_than_the_disk_are_not_sent(tmp_path: Path) -> None:
    """A sparse file beyond what the order asks of the machine's disk is refused before anything is signed or read."""
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)

    with pytest.raises(InvalidField, match="at most 1073741824 are allowed"):
        prepare(a_request(inputs=tmp_path))
