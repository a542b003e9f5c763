"""What a faked reputation costs: never less for more, and told in the documentation as it is."""

from __future__ import annotations

from itertools import pairwise

import pytest

from marketplace.domain.reputation import LOUDEST, WHOLE
from scripts.farming import PAGE, SCORES, Cost, cost_of, written


@pytest.mark.parametrize("clients", [1, 3, LOUDEST, 64])
def test_a_better_name_costs_more(clients: int) -> None:
    """And more again after a failure, the more the larger it was."""
    for failed in (0, 10 * WHOLE, 1_000 * WHOLE):
        costs = [cost_of(score, clients, failed).leases for score in SCORES]
        assert all(less < more for less, more in pairwise(costs))
    for score in SCORES:
        costs = [cost_of(score, clients, failed).leases for failed in (0, 10 * WHOLE, 1_000 * WHOLE)]
        assert all(less < more for less, more in pairwise(costs))


def test_fake_clients_help_up_to_eight() -> None:
    """With fewer the work is heard in part; with more there is more gas to pay, and nothing to gain."""
    costs = [cost_of(9_900, clients) for clients in (*range(1, LOUDEST + 1), 16, 64)]

    assert all(more.leases >= fewer.leases for more, fewer in pairwise(costs))
    assert costs[0].leases == LOUDEST * costs[LOUDEST - 1].leases
    assert costs[LOUDEST - 1].leases == costs[-1].leases
    assert costs[LOUDEST - 1].gas < costs[-1].gas


def test_a_failure_is_dear_to_wash_off() -> None:
    """For 99 % it takes a hundred times as much fake work as what failed."""
    clean, stained = cost_of(9_900, 8), cost_of(9_900, 8, 200 * WHOLE)

    assert stained.dollars - clean.dollars >= 99 * 100
    assert Cost(leases=1, clients=1).dollars == 20


def test_the_documentation_has_the_table_as_it_is() -> None:
    """Whoever changes the rule, or the gas, runs `python -m scripts.farming`."""
    page = PAGE.read_text(encoding="utf-8")

    assert written(page) == page
