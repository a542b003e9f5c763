"""A job whose input is no bundle is refused before anybody pays for it; a provider would find out when its client has paid."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence

import pytest

from marketplace.domain.errors import InvalidField, TooManyRequests
from marketplace.domain.ids import bytes32_of
from marketplace.domain.limits import MAX_FILES, MIB
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import JobSpec, Resources
from marketplace.domain.work import Input, Sealed, Work
from marketplace.services.input_checks import SMALL_BYTES, InputCheck
from marketplace.services.order_checks import OrderDocuments
from tests.integration.gateway.conftest import Gateway
from tests.unit.bundled_trees import crafted, member

RECIPIENT = "age1" + "q" * 58
LINK = member("link", type=tarfile.SYMTYPE, linkname="/etc/passwd")

BUNDLES: dict[str, tuple[bytes, str]] = {
    "no tar at all": (b"word " * 300, "a number in its header cannot be read"),
    "compressed": (b"\x1f\x8b\x08" + b"0" * 600, "checksum is wrong"),
    "cut short": (crafted(member("a", bytes(5_000)))[:2_048], "is cut short"),
    "with something behind its end": (crafted(member("a")) + b"x" * 512, "nothing after them"),
    "that leads elsewhere": (crafted(member("../.ssh/authorized_keys", b"x")), "must be relative"),
    "with a file twice": (crafted(member("b"), member("a"), member("a")), "is named twice"),
    "larger than the order's disk": (crafted(member("a", bytes(MIB + 1))), f"at most {MIB} are allowed"),
}


def ordered(gateway: Gateway, bundles: Sequence[bytes], **changed: object) -> SignedOrder:
    """An order for work with these inputs, all of them uploaded, on a machine with a MiB of disk."""
    inputs = tuple(Input(f"/job/in/{n}", len(one), (gateway.keep(one),)) for n, one in enumerate(bundles))
    work = gateway.work(inputs=inputs, **changed)
    spec = gateway.spec(work=work.name, resources=Resources(gpus=1, disk_mib=1))
    return gateway.signed(spec=bytes32_of(spec.sha256))


@pytest.mark.parametrize("name", BUNDLES)
def test_an_input_that_is_no_bundle_is_refused(gateway: Gateway, name: str) -> None:
    """With the input and the rule, each time it is tried, and nothing is kept of the order."""
    content, rule = BUNDLES[name]
    signed = ordered(gateway, [crafted(member("fine")), content])

    for _ in range(2):
        told = gateway.post_order(signed)
        assert (told.status_code, told.json()["reason"]) == (422, "InvalidField")
        assert told.json()["field"] == "work.inputs[1]"
        assert rule in told.json()["detail"]
    assert gateway.http.get(f"/v1/orders/{signed.id}").status_code == 404


def test_what_other_tars_write_is_taken(gateway: Gateway) -> None:
    """Out of order, with links that are left out: whoever unpacks it takes it too."""
    signed = ordered(gateway, [crafted(member("b"), LINK, member("a", b"content"))])

    assert gateway.post_order(signed).status_code == 201


def test_inputs_share_the_orders_disk(gateway: Gateway) -> None:
    """Each fits by itself, both do not."""
    told = gateway.post_order(ordered(gateway, [crafted(member(name, bytes(600_000))) for name in ("a", "b")]))

    assert (told.status_code, told.json()["field"]) == (422, "work.inputs[1]")


def test_what_is_sealed_is_its_providers_to_look_at(gateway: Gateway) -> None:
    """Nobody else has its key: the gateway takes it as it is."""
    sealed = Sealed(RECIPIENT, "-----BEGIN AGE ENCRYPTED FILE-----")

    assert gateway.post_order(ordered(gateway, [b"\xfe" * 999], command=(), sealed=sealed)).status_code == 201


def documents(gateway: Gateway, content: bytes) -> OrderDocuments:
    item = Input("/job/in", len(content), (gateway.keep(content),))
    work = Work(("true",), "5a" * 32, inputs=(item,))
    return OrderDocuments(JobSpec(work.name), b"", frozenset(), work.inputs)


def test_endless_headers_end(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers about one entry can go on for as long as a bundle is; the gateway reads what honest files take, and no more."""
    monkeypatch.setattr("marketplace.services.input_checks.MOST_READS", 1_000)
    about = member("x", b"30 mtime=1350244992.023960108\n", type=tarfile.XHDTYPE)
    content = crafted(*[about] * 600, member("a"))

    with pytest.raises(InvalidField, match=f"more headers, or more behind its end, than {MAX_FILES}"):
        InputCheck(gateway.blobs).require_bundles(documents(gateway, content))


def test_large_inputs_are_looked_at_a_few_at_a_time(gateway: Gateway) -> None:
    """Who comes meanwhile is told to come again; small ones go through, and those that were looked at before are not looked at again."""
    large = documents(gateway, crafted(member("a", bytes(SMALL_BYTES))))
    free, busy = InputCheck(gateway.blobs), InputCheck(gateway.blobs, at_once=0)

    with pytest.raises(TooManyRequests):
        busy.require_bundles(large)
    busy.require_bundles(documents(gateway, crafted(member("small"))))
    assert not free.is_quick(large)
    free.require_bundles(large)
    assert free.is_quick(large)
