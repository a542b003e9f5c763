"""An agent that is killed (-9) at named points of a serving, and started again, is paid exactly once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from marketplace.chain import verbs
from marketplace.domain import events as e
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.orders import SignedOrder
from marketplace.domain.results import EndedReason
from marketplace.domain.states import ServingState
from marketplace.domain.units import Seconds
from marketplace.provider.agent import WATCHED
from marketplace.provider.executors.bubblewrap import BubblewrapExecutor
from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.runtime import load_runtime
from marketplace.store.journal.agent import AgentJournal
from tests.integration.provider.stage import CLIENT, CONSTANTS, ROOT, Stage

POINTS = (
    "serving.seen",
    "serving.running",
    "job.started",
    "job.ended",
    "serving.exited",
    "receipt.signed",
    "receipt.delivered",
    "receipt.countersigned",
    "settlement.sending",
)
"""In the order of a serving's life: journalled and not started, started, ended and not journalled, signed and not sent, …"""

WRITES = ("python", "-c", "print('done'); open('/job/out/a', 'w').write('made')")


class Crashing:
    """One agent's home, on which process after process is killed."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        (stage.folder / "home").mkdir()
        self.journal = AgentJournal(f"sqlite:///{stage.folder}/home/agent.sqlite")
        self.agents = stage.agents_apart()
        self.may_be_late = False
        """Whether the next agent goes on with a job that was lost, however long this machine takes to start it."""

    def opened(self, *command: str) -> SignedOrder:
        """A lease on what the agent that is running has listed."""
        self.stage.clock.until(self.journal.listings, "an offer is listed")
        signed = self.stage.order(self.stage.spec(*command), max_seconds=Seconds(3_000))
        self.stage.open(signed, self.journal.listings()[0].offer)
        return signed

    def ordered(self, session: SessionTerms) -> SignedOrder:
        """The lease of a session."""
        self.stage.clock.until(self.journal.listings, "an offer is listed")
        spec = self.stage.spec(work={"entrypoint": "session", "inputs": ()}, session=session)
        signed = self.stage.order(spec, max_seconds=Seconds(3_000))
        self.stage.open(signed, self.journal.listings()[0].offer)
        return signed

    def sat_at(self) -> SignedOrder:
        """A session that runs."""
        signed = self.ordered(SessionTerms())
        self.stage.clock.until(lambda: any(row.pid for row in self.journal.servings()), "it runs")
        return signed

    def killed_at(self, point: str, *, signs: bool = False) -> None:
        """Run an agent until it has killed itself at this point."""
        self.agents.start(kill_at=point, is_patient=signs, may_be_late=self.may_be_late)
        self.died(point, signs=signs)

    def died(self, point: str, *, signs: bool = False) -> None:
        each = self.stage.countersign if signs else lambda: None
        self.stage.clock.until(lambda: self.agents.wait_status is not None, f"it dies at {point}", each=each)
        assert self.agents.wait_status == signal.SIGKILL

    def finished(self, *, signs: bool = False) -> None:
        """Run an agent that nobody kills until nothing is left to serve, and stop it."""
        self.agents.start(is_patient=signs, may_be_late=self.may_be_late)
        each = self.stage.countersign if signs else lambda: None
        self.stage.clock.until(
            lambda: all(row.state is ServingState.CLOSED for row in self.journal.servings()), "all is closed", each=each
        )
        self.agents.terminate()
        self.stage.clock.until(lambda: self.agents.wait_status is not None, "it stops")
        assert self.agents.wait_status == 0


@pytest.fixture
def crashing(stage: Stage) -> Iterator[Crashing]:
    crashing = Crashing(stage)
    yield crashing
    crashing.journal.close()


def test_agent_killed_at_every_point_is_paid_once(stage: Stage, crashing: Crashing) -> None:
    """One lease outlives nine agents; its job runs to the end, and the last agent is paid for it, once."""
    crashing.may_be_late = True
    crashing.agents.start(kill_at=POINTS[0], is_patient=True)
    signed = crashing.opened(*WRITES)
    crashing.died(POINTS[0], signs=True)
    for point in POINTS[1:]:
        crashing.killed_at(point, signs=True)
    crashing.finished(signs=True)

    (settled,) = stage.events(e.LeaseSettled, signed.id)
    assert isinstance(settled, e.LeaseSettled)
    stage.check_paid_once(signed, settled.used_seconds)
    assert stage.result(signed.id).exit_code == 0
    said = [line for line in stage.log_of(signed.id).splitlines() if line != "done"]
    assert all("not charged" in line for line in said)
    (serving,) = crashing.journal.servings()
    assert serving.used_seconds == settled.used_seconds


def test_a_running_job_is_taken_up_by_the_next_agent(stage: Stage, crashing: Crashing) -> None:
    """A job goes on while its agent is dead, and the next one gets its result: it runs once, and holds what it was given."""
    crashing.agents.start(kill_at="job.started", is_patient=True)
    signed = crashing.opened(
        "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.1; done; cat go; echo made > /job/out/a; exit 3"
    )
    crashing.died("job.started", signs=True)
    (run,) = (stage.folder / "home" / "servings").glob("*/runs/*")
    crashing.killed_at("job.taken_up", signs=True)
    (run / "in" / "go").write_text("told after two agents had died\n")
    crashing.finished(signs=True)

    assert stage.result(signed.id).exit_code == 3
    log = stage.log_of(signed.id)
    assert [line for line in log.splitlines() if "[provider]" not in line] == ["up", "told after two agents had died"]


def test_what_a_session_left_outlives_every_agent_on_its_way_to_the_follow_on(stage: Stage, crashing: Crashing) -> None:
    """Killed when it has closed a session, kept its files, copied them, and begun the follow-on: the last agent has them there, and nothing is left of the first."""
    crashing.may_be_late = True
    crashing.agents.start(kill_at="serving.closed", is_patient=True)
    first = crashing.sat_at()
    (run,) = (stage.folder / "home" / "servings").glob(f"{first.id}-*/runs/*")
    (run / "in" / "there").write_text("kept")
    stage.send(CLIENT, verbs.terminate(stage.book.market, first.order))
    crashing.died("serving.closed")
    crashing.killed_at("workspace.kept", signs=True)
    second = crashing.ordered(session=SessionTerms(0, first.id))
    stage.jump(CONSTANTS.start_grace)  # too late to give it back: agents that come and go have all the time they need
    crashing.killed_at("workspace.inherited", signs=True)
    crashing.killed_at("job.starting", signs=True)
    crashing.agents.start(is_patient=True, may_be_late=True)
    servings = stage.folder / "home" / "servings"
    stage.clock.until(lambda: not list(servings.glob(f"{first.id}-*")), "what was handed on is removed")

    *_, run = sorted(servings.glob(f"{second.id}-*/runs/*"))
    assert (run / "in" / "there").read_text() == "kept"
    assert [key[0] for key in crashing.journal.workspaces.all()] == [second.id]


def test_agent_killed_around_its_claim_is_paid_once(stage: Stage, crashing: Crashing) -> None:
    """A claim survives the agent that made it: the next one finalizes it, and does not claim again."""
    crashing.agents.start(kill_at="receipt.delivered")
    signed = crashing.opened(*WRITES)
    crashing.died("receipt.delivered")
    stage.jump(2 * CONSTANTS.claim_grace)
    crashing.killed_at("lease.claimed")
    assert stage.status(signed.id) is LeaseStatus.CLAIMED
    stage.jump(CONSTANTS.challenge_window)
    crashing.finished()

    (claimed,) = stage.events(e.LeaseClaimed, signed.id)
    assert isinstance(claimed, e.LeaseClaimed)
    assert len(stage.events(e.LeaseFinalized, signed.id)) == 1
    stage.check_paid_once(signed, claimed.used_seconds)


def test_a_job_runs_on_without_its_agent_and_its_result_is_delivered(stage: Stage, crashing: Crashing) -> None:
    """It is not run twice, and what it did while nobody watched is delivered and not charged."""
    crashing.agents.start(kill_at="job.started")
    signed = crashing.opened("python", "-c", "import time; time.sleep(2); print('done')")
    crashing.died("job.started")
    stage.jump(1_000)
    crashing.finished(signs=True)

    (settled,) = stage.events(e.LeaseSettled, signed.id)
    assert isinstance(settled, e.LeaseSettled)
    (serving,) = crashing.journal.servings()
    assert settled.used_seconds <= settled.ref.block.timestamp - serving.opened_at - 1_000
    stage.check_paid_once(signed, settled.used_seconds)
    assert stage.log_of(signed.id).splitlines().count("done") == 1
    assert stage.result(signed.id).exit_code == 0


def test_a_job_that_did_not_survive_a_long_absence_is_not_begun_again(stage: Stage, crashing: Crashing) -> None:
    """Its client has ordered elsewhere by then: the lease is handed back, nothing is charged, and the log says why."""
    crashing.agents.start(kill_at="job.started")
    signed = crashing.opened("python", "-c", "import time; time.sleep(600)")
    crashing.died("job.started")
    home = stage.folder / "home"
    (serving,) = (home / "servings").iterdir()
    executor = BubblewrapExecutor(load_runtime(ROOT / ".runtime"), records=home / "jobs", cgroups=find_cgroups())
    executor.reap(serving.name)
    stage.jump(3 * CONSTANTS.start_grace + 10)
    crashing.finished(signs=True)

    stage.check_paid_once(signed, 0)
    assert (stage.result(signed.id).exit_code, stage.result(signed.id).reason) == (None, EndedReason.NOT_RUN)
    assert "[provider] not run: provider_was_away" in stage.log_of(signed.id)


def test_time_in_which_the_agent_stood_still_is_not_charged(stage: Stage, crashing: Crashing) -> None:
    """A process that is held and let go on takes the time in between off what it meters, and says so in the job's log."""
    held_blocks = 20
    crashing.agents.start(is_patient=True)
    signed = crashing.opened("sh", "-c", "while [ ! -e go ]; do sleep 0.1; done")
    journal, agent = crashing.journal, int((stage.folder / "pid").read_text())
    stage.clock.until(lambda: any(row.pid for row in journal.servings(ServingState.RUNNING)), "the job runs")
    (run,) = (stage.folder / "home" / "servings").glob("*/runs/*")
    begun = stage.chain.head()
    stage.clock.until(lambda: (journal.cursor(WATCHED) or begun).number > begun.number + 1, "it is watched")
    before = stage.chain.head()
    os.kill(agent, signal.SIGSTOP)
    stage.clock.until(lambda: stage.chain.head().number > before.number + held_blocks, "it is held for a while")
    os.kill(agent, signal.SIGCONT)
    stage.clock.until(lambda: journal.servings()[0].lost_seconds >= held_blocks, "what was lost is counted")
    (run / "in" / "go").touch()
    stage.clock.until(lambda: journal.servings(ServingState.EXITED, ServingState.RECEIPTED), "it is over")
    (serving,) = journal.servings()
    crashing.agents.terminate()
    stage.clock.until(lambda: crashing.agents.wait_status is not None, "it stops")

    assert serving.lost_seconds >= held_blocks
    assert serving.used_seconds is not None
    elapsed = stage.chain.block(stage.chain.head().number).timestamp - serving.opened_at
    assert serving.used_seconds <= elapsed - held_blocks
    assert (
        f"{serving.lost_seconds} s that the provider lost, or took to have the image, are not charged" in serving.note
    )
    assert serving.lease == signed.id
