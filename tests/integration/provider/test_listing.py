"""What an agent puts on offer, on a real chain."""

from __future__ import annotations

import shutil

import pytest

from marketplace.chain import verbs
from marketplace.domain.errors import ToolMissing
from marketplace.domain.events import OfferListed
from marketplace.domain.ids import sha256_in
from marketplace.domain.offers import Offer
from marketplace.domain.spec import read_machine
from marketplace.provider.agent import ProviderAgent
from tests.integration.provider.stage import CLIENT, INVENTORY, PROVIDER, Stage


def offers_of(stage: Stage, agent: ProviderAgent) -> list[Offer]:
    """The agent's listings, as the chain has them."""
    found = (stage.market.offer_of(row.offer) for row in stage.journal(agent).listings())
    return [offer for offer in found if offer]


def restarted(stage: Stage, agent: ProviderAgent, inventory: str, *, home: str = "home") -> ProviderAgent:
    """The agent stopped, and another one with this inventory in its place."""
    agent.close()
    return stage.agent(inventory=inventory, home=home)


def blocks(stage: Stage, agent: ProviderAgent, count: int) -> None:
    """Let the agent see that many blocks."""
    until = stage.chain.head().number + count
    stage.until(agent, lambda: stage.chain.head().number >= until, f"{count} blocks pass")


def test_inventory_is_listed_once(stage: Stage) -> None:
    """An agent that is restarted with the same inventory lists nothing again."""
    agent = stage.agent()
    stage.listed(agent)
    again = restarted(stage, agent, INVENTORY)
    blocks(stage, again, 5)

    (offer,) = offers_of(stage, again)
    assert (offer.provider, offer.gpus, offer.price) == (PROVIDER.address, 2, 36_000_000)


def test_listings_are_found_again_without_a_home(stage: Stage) -> None:
    """An agent that has lost all of its folder but its own key, which its listings name, learns of them from the chain's events."""
    agent = stage.agent()
    listed = stage.listed(agent)
    (stage.folder / "new-home").mkdir()
    shutil.copy(stage.folder / "home" / "identity", stage.folder / "new-home")
    again = restarted(stage, agent, INVENTORY, home="new-home")
    blocks(stage, again, 5)

    assert [offer.id for offer in offers_of(stage, again)] == [listed]


def test_new_price_is_repriced(stage: Stage) -> None:
    """Another price in the file is another price of the same listing."""
    agent = stage.agent()
    listed = stage.listed(agent)
    again = restarted(stage, agent, INVENTORY.replace('"36"', '"40.5"'))
    stage.until(again, lambda: offers_of(stage, again)[0].price == 40_500_000, "the offer is repriced")

    assert [offer.id for offer in offers_of(stage, again)] == [listed]


def test_new_bond_is_a_new_listing_and_the_old_one_goes(stage: Stage) -> None:
    """What a listing cannot change makes a new one; capacity is never on offer twice."""
    agent = stage.agent()
    stage.listed(agent)
    again = restarted(stage, agent, INVENTORY.replace("1000", "2000"))
    stage.until(again, lambda: len(offers_of(stage, again)) == 2, "the new offer is listed")

    old, new = offers_of(stage, again)
    now = stage.chain.head().timestamp
    assert not old.is_alive(now)
    assert new.is_alive(now)
    assert new.bond_bps == 2_000


def test_machine_description_reaches_the_gateway(stage: Stage) -> None:
    """The description that a listing names by hash can be fetched, and says that it is declared. The chain comes first."""
    stage.gateway.stop()
    agent = stage.agent()
    listed = stage.market.offer_of(stage.listed(agent))
    assert listed is not None
    name = sha256_in(listed.spec)
    stage.gateway.start()
    stage.until(agent, lambda: stage.gateway.blobs.has(name), "the description is uploaded")

    assert read_machine(stage.client_api.fetch_blob(name)).measured is False


def test_signs_of_life_reach_the_gateway(stage: Stage) -> None:
    """An agent that is idle still says that it is there."""
    agent = stage.agent()
    stage.until(agent, lambda: PROVIDER.address in stage.gateway.board.heartbeats(), "there is a heartbeat")
    first = stage.gateway.board.heartbeats()[PROVIDER.address]
    stage.until(agent, lambda: stage.gateway.board.heartbeats()[PROVIDER.address] > first, "there is another")


def test_machine_that_cannot_run_jobs_lists_nothing(stage: Stage) -> None:
    """An agent whose sandbox does not work stops before it offers anything."""
    agent = stage.agent()
    agent._tools.executor._bwrap = stage.folder / "no-such-program"  # type: ignore[attr-defined]

    with pytest.raises(ToolMissing):
        agent.step()
    assert stage.market.offer_of(1) is None  # type: ignore[arg-type]


def test_an_offer_of_somebody_else_is_not_kept_among_ours(stage: Stage) -> None:
    """As a false receipt has journalled it: it is dropped when the contract has said so twice, ours is kept, repriced, and listed once."""
    agent = stage.agent()
    listed = stage.listed(agent)
    terms = next(offer for offer in offers_of(stage, agent) if offer.id == listed)
    foreign = stage.send(
        CLIENT,
        verbs.list_offer(
            stage.book.market, gpu_class=terms.gpu_class, gpus=terms.gpus, bond_bps=terms.bond_bps, price=terms.price,
            min_seconds=terms.min_seconds, expires_at=terms.expires_at, arbiter=terms.arbiter, spec=terms.spec,
        ),
    )  # fmt: skip
    (event,) = foreign.events
    assert isinstance(event, OfferListed)
    stage.journal(agent).add_listing(event.offer.id, sha256_in(terms.spec))
    again = restarted(stage, agent, INVENTORY.replace('"36"', '"40.5"'))
    stage.until(again, lambda: [offer.price for offer in offers_of(stage, again)] == [40_500_000], "ours is repriced")

    assert [offer.id for offer in offers_of(stage, again)] == [listed]
