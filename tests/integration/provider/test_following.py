"""A session that goes on with another one: on the same machine, with its files, for the same client, and for nobody else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from marketplace.chain import verbs
from marketplace.domain.fills import Fill
from marketplace.domain.ids import OfferId
from marketplace.domain.keeping import KEPT_SECONDS, SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds
from marketplace.provider.agent import ProviderAgent
from marketplace.provider.home import ServingFolder
from marketplace.provider.workspaces import inherited
from tests.integration.provider.stage import ACCEPTOR, CLIENT, OPENER, PRICE, Stage

HELD = 1_000


def opened(stage: Stage, agent: ProviderAgent, offer: OfferId, follows: str = "") -> SignedOrder:
    """A session that runs, alone or after another one."""
    spec = stage.spec(work={"entrypoint": "session", "inputs": ()}, session=SessionTerms(0, follows))
    signed = stage.order(spec, max_seconds=Seconds(HELD))
    stage.open(signed, offer)
    stage.until(agent, lambda: state_of(stage, agent, signed) is ServingState.RUNNING, "it runs", signs=True)
    stage.until(agent, lambda: folder_of(stage, signed).runs(), "it has a folder", signs=True)
    return signed


def state_of(stage: Stage, agent: ProviderAgent, signed: SignedOrder) -> ServingState | None:
    return next((row.state for row in stage.journal(agent).servings() if row.lease == signed.id), None)


def folder_of(stage: Stage, signed: SignedOrder) -> ServingFolder:
    return ServingFolder(next((stage.folder / "home" / "servings").glob(f"{signed.id}-*"), stage.folder / "none"))


def inputs_of(stage: Stage, signed: SignedOrder) -> Path:
    return folder_of(stage, signed).runs()[-1] / "in"


def test_a_follow_on_that_is_opened_early_takes_the_session_over(stage: Stage) -> None:
    """It ends the one before, whose seconds are paid until then, and goes on with what lay in its folders."""
    agent = stage.agent()
    first = opened(stage, agent, stage.listed(agent))
    (inputs_of(stage, first) / "there").write_text("kept")
    (inputs_of(stage, first) / "link").symlink_to("/etc/passwd")
    second = opened(stage, agent, stage.listed(agent), follows=first.id)

    assert (inputs_of(stage, second) / "there").read_text() == "kept"
    assert (inputs_of(stage, second) / "link").is_symlink()
    stage.until(agent, lambda: stage.status(first.id) is LeaseStatus.CLOSED, "the first one is settled", signs=True)
    (before,) = [row for row in stage.journal(agent).servings() if row.lease == first.id]
    history = stage.journal(agent).history_of_serving(*before.key)
    assert any("the session that goes on with it is there" in event.note for event in history)
    assert before.used_seconds is not None
    assert before.used_seconds < HELD
    assert stage.status(second.id) is LeaseStatus.OPEN


def test_what_a_session_left_is_kept_for_its_follow_on_and_not_for_long(stage: Stage) -> None:
    """After its close the files stay for some minutes: a follow-on finds them, once; nobody else does, and afterwards they are gone."""
    agent = stage.agent()
    first, other = opened(stage, agent, stage.listed(agent)), opened(stage, agent, stage.listed(agent))
    for signed in (first, other):
        (inputs_of(stage, signed) / "there").write_text("kept")
        stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "both are over")
    second = opened(stage, agent, stage.listed(agent), follows=first.id)
    assert (inputs_of(stage, second) / "there").read_text() == "kept"
    stage.until(agent, lambda: not folder_of(stage, first).path.exists(), "what was handed on is removed")
    assert folder_of(stage, other).path.exists()
    stage.jump(KEPT_SECONDS)
    stage.until(agent, lambda: not folder_of(stage, other).path.exists(), "what nobody came for is removed")


def test_an_agent_that_is_started_anew_keeps_what_sessions_left_for_as_long(stage: Stage) -> None:
    """A follow-on finds the files of a session that an agent before has closed; what nobody came for is removed when its time is up."""
    agent = stage.agent()
    first, other = opened(stage, agent, stage.listed(agent)), opened(stage, agent, stage.listed(agent))
    for signed in (first, other):
        (inputs_of(stage, signed) / "there").write_text("kept")
        stage.send(CLIENT, verbs.terminate(stage.book.market, signed.order))
    stage.until(agent, lambda: not stage.is_serving(agent), "both are over")
    agent.close()
    agent = stage.agent()
    second = opened(stage, agent, stage.listed(agent), follows=first.id)
    assert (inputs_of(stage, second) / "there").read_text() == "kept"
    assert folder_of(stage, other).path.exists()
    stage.until(agent, lambda: not folder_of(stage, first).path.exists(), "what was handed on is removed")
    agent.close()
    stage.jump(KEPT_SECONDS)
    agent = stage.agent()
    stage.until(agent, lambda: not folder_of(stage, other).path.exists(), "what nobody came for is removed")

    assert [key[0] for key in stage.journal(agent).workspaces.all()] == [second.id]


def test_another_client_neither_ends_a_session_nor_sees_it(stage: Stage) -> None:
    """An order of somebody else that names a session as its own predecessor begins empty, and the session goes on."""
    agent = stage.agent()
    first = opened(stage, agent, stage.listed(agent))
    (inputs_of(stage, first) / "there").write_text("secret")
    stage.fund(ACCEPTOR)
    spec = stage.spec(work={"entrypoint": "session", "inputs": ()}, session=SessionTerms(0, first.id))
    stranger = replace(stage.order(spec, posts=False, max_seconds=Seconds(HELD)).order, client=ACCEPTOR.address)
    signed = ACCEPTOR.sign_order(stranger, stage.market.domain)
    stage.send(OPENER, verbs.open_fills(stage.book.market, [Fill(signed, stage.listed(agent), PRICE)]))
    stage.until(agent, lambda: state_of(stage, agent, signed) is not None, "it is seen")
    before = stage.chain.head().timestamp
    stage.until(agent, lambda: stage.chain.head().timestamp > before + 15, "some time passes", signs=True)

    assert state_of(stage, agent, first) is ServingState.RUNNING
    assert not any((run / "in" / "there").exists() for run in folder_of(stage, signed).runs())


def test_what_does_not_fit_is_not_copied(tmp_path: Path) -> None:
    """More than the order's disk, or nothing at all, begins empty, and says so."""
    before, run = ServingFolder(tmp_path / "before"), tmp_path / "run"
    for folder in (before.path / "runs" / "1" / "in", before.path / "runs" / "1" / "out", run / "in", run / "out"):
        folder.mkdir(parents=True)
    (before.path / "runs" / "1" / "in" / "large").write_bytes(bytes(2 << 20))

    assert "more than this order's disk holds" in inherited(before, run, 1)
    assert "not on this machine" in inherited(None, run, 1)
    assert not list((run / "in").iterdir())
    assert inherited(before, run, 3).endswith("files of the session before")
    assert (run / "in" / "large").stat().st_size == 2 << 20
