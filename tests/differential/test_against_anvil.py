"""The same random calls on anvil and on the ledger model: equal outcomes, equal events, and equal state to the unit.

``pytest tests/differential --sequences 1000`` runs more of them; ``--first-seed 17 --sequences 1`` runs one again.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from marketplace.chain.devnet import start_anvil
from tests.differential import replayed
from tests.differential.node import ARGUMENTS, Node
from tests.differential.stage import KEYS, START, Stage
from tests.differential.tally import Tally
from tests.differential.walk import Walk
from tests.ports import free_port

CALLS = 250
"""Of a sequence, at least."""
COMPARED_EVERY = 50
"""Calls after which the whole state is compared."""
LATE = 2**32 - 500
"""Every fourth sequence starts here: soon no word can hold the time."""
ENOUGH_SEQUENCES = 20
"""From so many on, a run must have seen everything."""
SEVERAL = 10


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    arguments = (*ARGUMENTS, "--timestamp", str(START - 1000))
    handle = start_anvil(free_port(), tmp_path_factory.mktemp("anvil"), block_time=None, arguments=arguments)
    node = Node(handle.rpc_url)
    yield Stage.set_up(node)
    node.close()
    handle.stop()


def run(stage: Stage, seed: int, tally: Tally) -> None:
    """One sequence, from a market that was just set up; fails at the first disagreement."""
    stage.again()
    model = stage.new_model()
    walk = Walk(model, Random(seed), [*KEYS, *stage.wallets], LATE if seed % 4 == 3 else START)
    now, played = walk.prelude()
    calls = 0
    while played:
        before = calls
        for each, outcome in stage.perform(now, played):
            calls += 1
            found = stage.disagreement(each, outcome)
            assert found is None, f"seed {seed}, call {calls}, at {now}: {each}, but the contract {found}"
            tally.count(each.call, now, outcome, each.events)
            tally.count_refusals(outcome, model.address)
        if before // COMPARED_EVERY < calls // COMPARED_EVERY or calls >= CALLS:
            assert stage.differences(model) == [], f"seed {seed}, after {calls} calls"
        now, played = walk.block() if calls < CALLS else (now, [])
    assert replayed.differences(stage.logs, stage.times, model) == [], f"seed {seed}"


@pytest.mark.timeout(0)
def test_the_contract_is_the_ledger_that_the_rules_describe(stage: Stage, request: pytest.FixtureRequest) -> None:
    """Outcomes, reasons, events, balances, budgets, words, free GPUs, payees, volumes and tokens are the model's, and the events alone
    rebuild them (P-01 to P-25, I-1 to I-3, I-9, I-11, I-12)."""
    first, sequences = request.config.getoption("--first-seed"), request.config.getoption("--sequences")
    tally = Tally(stage.wallets)
    for seed in range(first, first + sequences):
        run(stage, seed, tally)
    print(tally.table())

    assert tally.calls >= sequences * CALLS
    assert sequences < ENOUGH_SEQUENCES or tally.missing(at_least=SEVERAL) == [], tally.table()
