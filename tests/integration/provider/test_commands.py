"""A provider's commands on a real chain: through the agent where one runs, by themselves where none does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from marketplace.chain.market import MarketContract
from marketplace.chain.signing import Key
from marketplace.chain.transactions import Sender
from marketplace.domain.errors import ConfigError, NotFound
from marketplace.domain.ids import OfferId
from marketplace.domain.units import PricePerGpuHour
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.commands import ProviderCommands, WishOutcome
from marketplace.store.journal.agent import AgentJournal
from marketplace.store.journal.wishes import AgentStanding
from tests.integration.provider.stage import CLIENT, FUNDS, INVENTORY, PROVIDER, Stage
from tests.integration.provider.test_steering import is_alive, offer_of


@contextmanager
def desk_of(stage: Stage, key: Key = PROVIDER) -> Iterator[ProviderCommands]:
    """As a command opens it, beside the agent: a journal and a sender of its own."""
    home = stage.folder / "home"
    journal = AgentJournal(f"sqlite:///{home}/agent.sqlite")
    market = MarketContract(stage.chain, stage.book.market, deployed_at_block=stage.book.deployed_at_block)
    yield ProviderCommands(market, key, journal, Sender(stage.chain, key, journal.outbox), home)
    journal.close()


@contextmanager
def stepping(stage: Stage, agent: ProviderAgent) -> Iterator[None]:
    """The agent takes its steps meanwhile."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: stage.until(agent, done.is_set, "the command has ended"))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def test_a_running_agent_does_what_its_commands_say(stage: Stage) -> None:
    """Each command ends when the chain shows it; its price is gone when the inventory declares another."""
    agent = stage.agent()
    listed = stage.listed(agent)
    with desk_of(stage) as desk:
        with stepping(stage, agent):
            assert desk.stand(AgentStanding.PAUSED) is WishOutcome.HEEDED
            assert not is_alive(stage, agent)
            assert desk.reprice(listed, PricePerGpuHour(40_000_000)) is WishOutcome.HEEDED
            assert desk.stand(AgentStanding.OPEN) is WishOutcome.HEEDED
        seen = desk.picture()

    assert (offer_of(stage, agent).price, is_alive(stage, agent)) == (40_000_000, True)
    assert seen.pid
    assert seen.report
    assert seen.report.declared == {listed: 36_000_000}


def test_another_key_than_the_agents_is_refused(stage: Stage) -> None:
    """Its offers would look like none, and a wish in its journal would steer an agent that is not its own."""
    agent = stage.agent()
    stage.until(agent, lambda: stage.journal(agent).desk.report(), "it has told of itself")
    with desk_of(stage) as desk:
        desk.check_key()
    with desk_of(stage, CLIENT) as desk, pytest.raises(ConfigError, match=PROVIDER.address):
        desk.check_key()


def test_without_an_agent_the_commands_act_themselves(stage: Stage) -> None:
    """Offers are repriced and withdrawn with the agent's own outbox; the next agent finds the price and the pause."""
    agent = stage.agent()
    listed = stage.listed(agent)
    stage.until(agent, lambda: stage.journal(agent).desk.report(), "it has told of itself")
    agent.close()
    with desk_of(stage) as desk:
        assert desk.reprice(listed, PricePerGpuHour(40_000_000)) is WishOutcome.ALONE
        assert offer_of(stage, agent).price == 40_000_000
        assert desk.stand(AgentStanding.PAUSED) is WishOutcome.ALONE
        assert not is_alive(stage, agent)
        assert desk.picture().pid == ""
        again = stage.agent()
        with stepping(stage, again):
            assert desk.stand(AgentStanding.OPEN) is WishOutcome.HEEDED

    assert (offer_of(stage, again).id, offer_of(stage, again).price) == (listed, 40_000_000)


def test_only_its_own_offers_are_repriced(stage: Stage) -> None:
    """A number that is none of its offers is an error, and no wish is left behind."""
    agent = stage.agent()
    stage.listed(agent)
    with desk_of(stage) as desk:
        with pytest.raises(NotFound):
            desk.reprice(OfferId(99), PricePerGpuHour(1))
        assert desk.journal.desk.wishes().number == 0


def test_leases_and_earnings_are_what_the_chain_says(stage: Stage) -> None:
    """While a lease runs its bond is held; settled, the earnings are the balance's movement to the unit."""
    agent = stage.agent(inventory=INVENTORY)
    signed = stage.lease(agent, "true")
    stage.until(agent, lambda: stage.journal(agent).servings(), "the lease is seen")
    with desk_of(stage) as desk:
        (row,) = desk.picture().leases
        books, balance = desk.earnings(stage.chain.head())
        assert (row.serving.lease, row.held) == (signed.id, FUNDS - balance)
        assert (books.held, books.earned, books.balance) == (row.held, 0, balance)
        stage.until(agent, lambda: not stage.is_serving(agent), "it is over", signs=True)
        books, balance = desk.earnings(stage.chain.head())

        assert desk.picture().leases == ()
        assert books.balance == balance
        assert books.earned == balance - FUNDS > 0
        assert [one.lease for one in books.rows] == [signed.id]
