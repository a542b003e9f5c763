"""Jobs of several nodes, cleared and opened on a real chain: all at once on distinct offers of one provider, or not at all."""

from __future__ import annotations

from dataclasses import replace

from marketplace.chain import verbs
from marketplace.chain.signing import Key
from marketplace.domain.book import RejectionReason
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.spec import Group
from tests.integration.scheduler.floor import CLIENT, DOLLAR, PROVIDERS, SPEC, Floor

R = RejectionReason
ID = "ab" * 32


def node(floor: Floor, rank: int, size: int = 2, key: Key = CLIENT) -> SignedOrder:
    """One node's order, on the book."""
    return floor.order(spec=replace(SPEC, group=Group(ID, size, rank)), client=key.address, by=key)


def statuses(floor: Floor, *orders: SignedOrder) -> list[LeaseStatus]:
    return [floor.lease(order).status for order in orders]


def test_a_group_is_opened_at_once_on_distinct_offers_of_one_provider(floor: Floor) -> None:
    """Although a stranger's offer is cheaper, and although one of the offers has room for both."""
    floor.list(price=DOLLAR // 2)
    theirs = {floor.list(PROVIDERS[1], gpus=gpus).id for gpus in (4, 1)}
    nodes = [node(floor, rank) for rank in range(2)]
    floor.index()

    floor.scheduler().step()

    assert statuses(floor, *nodes) == [LeaseStatus.OPEN] * 2
    assert {floor.lease(order).offer for order in nodes} == theirs
    assert len(floor.batches()) == 1
    assert floor.explanation(nodes[1]).placed_on == floor.lease(nodes[1]).offer


def test_a_group_waits_until_it_is_complete(floor: Floor) -> None:
    """A node alone is not opened, not even where there is room for it; the stranger's node with the same id is another group's."""
    floor.list()
    floor.list()
    first, stranger = node(floor, 0), node(floor, 1, key=PROVIDERS[2])
    floor.index()
    service = floor.scheduler()
    service.step()
    assert statuses(floor, first, stranger) == [LeaseStatus.NONE] * 2
    assert R.GROUP_INCOMPLETE in floor.explanation(first).reasons

    second = node(floor, 1)
    floor.index()
    service.step()

    assert statuses(floor, first, second, stranger) == [LeaseStatus.OPEN, LeaseStatus.OPEN, LeaseStatus.NONE]


def test_a_group_for_which_no_provider_has_room_waits_whole(floor: Floor) -> None:
    """Two providers with a machine each are not one with two; an order that stands alone goes ahead meanwhile."""
    floor.list()
    floor.list(PROVIDERS[1])
    nodes, alone = [node(floor, rank) for rank in range(2)], floor.order()
    floor.index()

    floor.scheduler().step()

    assert statuses(floor, *nodes, alone) == [LeaseStatus.NONE, LeaseStatus.NONE, LeaseStatus.OPEN]
    assert all(R.GROUP_NOT_TOGETHER in floor.explanation(order).reasons for order in nodes)


def test_a_node_that_was_declined_is_not_opened_beside_nobody(floor: Floor) -> None:
    """The other one runs: one node is no whole group any more, and its client will end it."""
    floor.list()
    floor.list()
    nodes = [node(floor, rank) for rank in range(2)]
    floor.index()
    service = floor.scheduler()
    service.step()
    floor.send(PROVIDERS[0], verbs.decline(floor.market.address, nodes[1].order))
    floor.list(PROVIDERS[1])
    floor.pass_time(1)
    floor.mine()
    floor.index()

    service.step()

    assert statuses(floor, *nodes) == [LeaseStatus.OPEN, LeaseStatus.NONE]
    assert R.GROUP_INCOMPLETE in floor.explanation(nodes[1]).reasons
