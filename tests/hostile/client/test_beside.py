"""A hostile client beside an honest one, at one real agent: the honest lease is served and paid, and the hostile one cannot break it."""

from __future__ import annotations

from dataclasses import replace

from marketplace.domain import events as e
from marketplace.domain.errors import GatewayError
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.pricing import earned_rounded_down
from marketplace.domain.receipts import Receipt
from marketplace.domain.work import work_name
from tests.integration.provider.conftest import agent_anvil, agent_redis, stage
from tests.integration.provider.hostile import hostile
from tests.integration.provider.stage import CLIENT, CONSTANTS, FUNDS, PRICE, PROVIDER, Stage

__all__ = ["agent_anvil", "agent_redis", "stage"]

NO_TEXT = b'{"\\ud800\\u001b[2J":1,"command":["true"],"salt":"' + b"5a" * 32 + b'","version":1}'
"""A work document with a field whose name is half a letter, and an order to a terminal."""


def test_a_lease_that_cannot_be_declined_and_not_be_read_is_ended(stage: Stage) -> None:
    """Work with a name that is no text, seen when it is too late to give the lease back: it is ended, and the bond is there again."""
    with hostile(stage.gateway.url) as gateway:
        gateway.lie = lambda _, path: (200, NO_TEXT) if path.endswith(work_name(NO_TEXT).sha256) else None
        agent = stage.agent(gateway_url=gateway.url, patience_seconds=5)
        offer = stage.listed(agent)
        signed = stage.order(replace(stage.spec("true"), work=work_name(NO_TEXT)), posts=False)
        stage.open(signed, offer)
        stage.jump(CONSTANTS.start_grace)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLAIMED, "the lease is claimed, for nothing")
        note = stage.journal(agent).servings()[0].note
        stage.jump(CONSTANTS.challenge_window)
        stage.until(agent, lambda: stage.status(signed.id) is LeaseStatus.CLOSED, "the lease is closed")

    assert "spec_invalid" in note
    assert stage.market.balance_of(PROVIDER.address) == FUNDS
    assert stage.market.balance_of(CLIENT.address) == FUNDS


def test_other_receipts_and_a_dispute_cost_the_agent_nothing_else(stage: Stage) -> None:
    """A client that signs other seconds and results, fetches nothing and disputes: the agent settles its honest lease, and claims that one."""
    agent = stage.agent(patience_seconds=5)
    offer = stage.listed(agent)
    disputed, honest = (stage.order(stage.spec("python", "-c", "print('work')")) for _ in range(2))
    for signed in (disputed, honest):
        stage.open(signed, offer)
    journal = stage.journal(agent)

    def sign() -> None:
        """The honest lease's receipt as it is; of the hostile one everything but that."""
        agent.step()
        for signed in (disputed, honest):
            for said in _of_provider(stage, signed.id):
                told = [said] if signed is honest else _others(said)
                for receipt in told:
                    _post(stage, receipt)

    stage.clock.until(
        lambda: stage.status(disputed.id) is LeaseStatus.CLAIMED, "the hostile lease is claimed", each=sign
    )
    stage.clock.until(lambda: stage.status(honest.id) is LeaseStatus.CLOSED, "the honest lease is settled", each=sign)
    assert stage.events(e.LeaseSettled, honest.id)
    used = {serving.lease: serving.used_seconds or 0 for serving in journal.servings()}
    stage.jump(CONSTANTS.challenge_window)
    stage.until(agent, lambda: stage.status(disputed.id) is LeaseStatus.CLOSED, "the hostile lease is closed")

    earned = sum(earned_rounded_down(PRICE, signed.order.gpus, used[signed.id]) for signed in (disputed, honest))  # type: ignore[arg-type]
    assert not stage.events(e.LeaseSettled, disputed.id)
    assert stage.market.balance_of(PROVIDER.address) == FUNDS + earned


def _of_provider(stage: Stage, lease: str) -> list[Receipt]:
    try:
        return [said.receipt for said in stage.client_api.receipts(lease) if said.role == "provider"]  # type: ignore[arg-type]
    except GatewayError:
        return []


def _others(said: Receipt) -> list[Receipt]:
    """Receipts of the same serving that the provider has not signed."""
    return [
        replace(said, used_seconds=said.used_seconds + 1),
        replace(said, result="0x" + "cd" * 32),
        replace(said, last=False),
    ]  # type: ignore[arg-type]


def _post(stage: Stage, receipt: Receipt) -> None:
    try:
        stage.client_api.post_receipt(
            receipt.lease, receipt, "client", CLIENT.sign_receipt(receipt, stage.market.domain)
        )
    except GatewayError:
        return  # refused, or said before
