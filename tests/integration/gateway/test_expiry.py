"""What nobody refers to is deleted; what somebody may still want stays."""

from __future__ import annotations

import pytest

from marketplace.chain import verbs
from marketplace.chain.devnet import increase_time
from marketplace.domain.ids import Sha256, bytes32_of, sha256_of
from marketplace.domain.offers import Offer
from marketplace.domain.receipts import Settlement
from marketplace.domain.units import TokenUnits, UnixTime
from marketplace.services.expiry import KEPT_SECONDS, LOOK_AGAIN_SECONDS, Sweeper, SweepingProjector
from marketplace.services.quotas import BASE_BYTES, quotas_over
from marketplace.store.journal.uploads import UNUSED_SECONDS
from tests.integration.gateway.conftest import CLIENT, MACHINE, OTHER_CLIENT, PROVIDER, Gateway


@pytest.fixture
def sweeper(gateway: Gateway) -> Sweeper:
    quotas = quotas_over(gateway.market, gateway.journal.uploads, gateway.board, TokenUnits(1))
    return Sweeper(gateway.market, gateway.journal, gateway.blobs, gateway.board, quotas)


def after(gateway: Gateway, sweeper: Sweeper, seconds: int) -> None:
    """Let block time pass, and sweep until nothing is due."""
    increase_time(gateway.chain, seconds)
    gateway.sync()
    head = gateway.chain.head()
    while gateway.journal.uploads.due(head.timestamp):
        sweeper.sweep(head)


def put(gateway: Gateway, content: bytes, key: object = CLIENT) -> Sha256:
    name = sha256_of(content)
    assert gateway.write(key, "PUT", f"/v1/blobs/{name}", content, kind="application/octet-stream").status_code in (
        200,
        201,
    )  # type: ignore[arg-type]
    return name


def test_what_nobody_refers_to_is_gone_after_a_day(gateway: Gateway, sweeper: Sweeper) -> None:
    """Not before; not while somebody brings it again; and then its room is free."""
    name = put(gateway, b"left behind")
    used = gateway.journal.uploads.bytes_of(CLIENT.address)
    after(gateway, sweeper, UNUSED_SECONDS - 100)
    assert gateway.blobs.has(name)

    put(gateway, b"left behind")
    after(gateway, sweeper, 200)
    assert gateway.blobs.has(name)

    after(gateway, sweeper, UNUSED_SECONDS)
    assert not gateway.blobs.has(name)
    assert gateway.journal.uploads.bytes_of(CLIENT.address) <= used - len(b"left behind")
    assert gateway.read(CLIENT, f"/v1/blobs/{name}").status_code == 404


def test_what_a_waiting_order_needs_stays_until_it_expires(gateway: Gateway, sweeper: Sweeper) -> None:
    """Spec, work and inputs of an order that may be opened tomorrow; a week after its end they are gone."""
    work = gateway.work(salt="01" * 32)
    spec = gateway.spec(work=work.name)
    order = gateway.signed(spec=bytes32_of(spec.sha256), expires_at=gateway.now() + 3 * UNUSED_SECONDS)
    assert gateway.post_order(order).status_code == 201
    for _ in range(4):
        after(gateway, sweeper, UNUSED_SECONDS)
        assert gateway.blobs.has(work.name.sha256)

    after(gateway, sweeper, KEPT_SECONDS + LOOK_AGAIN_SECONDS)
    assert not gateway.blobs.has(work.name.sha256)
    assert not gateway.blobs.has(spec.sha256)


def test_who_takes_its_stake_away_keeps_nothing_for_good(gateway: Gateway, sweeper: Sweeper) -> None:
    """An order that waits for ever keeps its files only while its client's stake makes room for them; then they go as after an end."""
    gateway.fund(OTHER_CLIENT, 1_000_000)
    work = gateway.work(salt="02" * 32)
    spec = gateway.spec(work=work.name)
    order = gateway.signed(OTHER_CLIENT, spec=bytes32_of(spec.sha256), max_seconds=60)
    assert gateway.post_order(order).status_code == 201
    later = UnixTime(2**40)
    gateway.journal.uploads.note(Sha256("ab" * 32), OTHER_CLIENT.address, BASE_BYTES + 1, later)
    after(gateway, sweeper, 2 * UNUSED_SECONDS)
    assert gateway.blobs.has(spec.sha256)

    gateway.send(OTHER_CLIENT, verbs.withdraw(gateway.book.market, OTHER_CLIENT.address, TokenUnits(1_000_000)))
    after(gateway, sweeper, 2 * LOOK_AGAIN_SECONDS)
    assert gateway.blobs.has(spec.sha256)
    after(gateway, sweeper, KEPT_SECONDS)
    assert not gateway.blobs.has(spec.sha256)
    assert gateway.journal.uploads.forget(Sha256("ab" * 32), UnixTime(2 * later))


def test_results_stay_a_week_after_the_close(gateway: Gateway, sweeper: Sweeper, offer: Offer) -> None:
    """Outputs, log and result of a live lease stay however long it lasts, and seven days beyond its end."""
    work = gateway.work(salt="02" * 32)
    signed = gateway.leased(offer, spec=bytes32_of(gateway.spec(work=work.name).sha256))
    increase_time(gateway.chain, 5)
    result = gateway.result()
    output = result.outputs[0].parts[0]
    receipt = gateway.receipt(signed.id, 3, bytes32_of(result.sha256))
    assert gateway.post_receipt(PROVIDER, receipt, "provider", result).status_code == 201
    after(gateway, sweeper, UNUSED_SECONDS + 10)
    assert gateway.blobs.has(output)

    signatures = (CLIENT.sign_receipt(receipt, gateway.domain), PROVIDER.sign_receipt(receipt, gateway.domain))
    gateway.send(
        PROVIDER,
        verbs.settle(
            gateway.book.market, [Settlement(signed.order, receipt.used_seconds, receipt.result, True, *signatures)]
        ),
    )
    after(gateway, sweeper, LOOK_AGAIN_SECONDS + 10)
    after(gateway, sweeper, KEPT_SECONDS - 100)
    assert gateway.read(CLIENT, f"/v1/leases/{signed.id}/outputs").status_code == 200
    after(gateway, sweeper, LOOK_AGAIN_SECONDS)
    assert not gateway.blobs.has(output)
    assert gateway.read(CLIENT, f"/v1/leases/{signed.id}/outputs").status_code == 404


def test_machines_on_offer_and_snapshots_stay(gateway: Gateway, sweeper: Sweeper, offer: Offer) -> None:
    """A description as long as an offer names it; what a round was made from for good."""
    gateway.blobs.put(b"a snapshot", sha256_of(b"a snapshot"), 100)
    gateway.journal.uploads.note(
        sha256_of(b"a snapshot"), CLIENT.address, 10, gateway.now(), is_public=True, for_good=True
    )

    after(gateway, sweeper, 30 * UNUSED_SECONDS)

    assert gateway.blobs.has(MACHINE.sha256)
    assert gateway.blobs.has(sha256_of(b"a snapshot"))


def test_the_indexer_sweeps(gateway: Gateway, sweeper: Sweeper) -> None:
    """Between two steps of the projection, now and then."""
    name = put(gateway, b"swept by the indexer")
    increase_time(gateway.chain, UNUSED_SECONDS + 10)
    gateway.sync()

    SweepingProjector(gateway.projector, sweeper).step()

    assert not gateway.blobs.has(name)
