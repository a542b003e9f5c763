"""The ledger of the thirty days: what moved adds up, and what does not is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.bench.finance_ledger import Ledger


def a_ledger() -> Ledger:
    ledger = Ledger()
    ledger.move(1, "mint", "wallet/alice", 100, "began with")
    ledger.move(2, "wallet/alice", "vault/a/cash", 60, "deposit")
    ledger.move(3, "vault/a/cash", "vault/a/claimable", 20, "exit")
    return ledger


def test_what_moved_adds_up() -> None:
    """An account has what came in less what went out, a folder what its accounts have, and nothing is made but by the mint."""
    ledger = a_ledger()

    assert ledger.sums("vault/a/cash") == (60, 20)
    assert ledger.balances["vault/a/cash"] == 40
    assert ledger.below("vault/a") == 60
    assert sum(ledger.balances.values()) == 0


def test_a_unit_that_no_movement_explains_is_seen() -> None:
    """The chain's word is held against the movements of an account and of all below a folder."""
    said = {"wallet/alice": 40, "vault/a": 61, "vault/a/cash": 40}

    assert a_ledger().unexplained(said) == {"vault/a": 1}


def test_an_account_that_gave_more_than_it_had_is_seen() -> None:
    """Even where the chain was not asked about it."""
    ledger = a_ledger()
    ledger.move(4, "lease/a", "wallet/alice", 1, "from nowhere")

    assert ledger.unexplained({}) == {"lease/a": -1}


def test_nothing_is_no_movement_and_less_is_an_error(tmp_path: Path) -> None:
    """The file has a row for each unit that moved, and none for what did not."""
    ledger = a_ledger()
    ledger.move(4, "wallet/alice", "wallet/bob", 0, "nothing")
    with pytest.raises(ValueError, match="-1 units"):
        ledger.move(4, "wallet/alice", "wallet/bob", -1, "less")
    ledger.write(tmp_path / "explain.csv")

    assert (tmp_path / "explain.csv").read_text().splitlines()[:2] == [
        "time,giver,taker,amount,rule",
        "1,mint,wallet/alice,100,began with",
    ]
    assert len(ledger.movements) == 3
