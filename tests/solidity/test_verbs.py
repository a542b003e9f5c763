"""What a contract cannot do, because it has no verb for it."""

from __future__ import annotations

import json

import pytest

from marketplace.chain.compiler import PROJECT_ROOT

ABI = PROJECT_ROOT / "marketplace/chain/abi"


@pytest.mark.parametrize(
    ("contract", "verbs"),
    [
        ("BackstopArbiter", {"rule", "backstop", "collect"}),
        ("SpvFactory", {"create"}),
        (
            "ProviderSpv",
            {"start", "list", "reprice", "open", "claim", "claimDue", "decline", "withdraw", "setOperator", "allow"}
            | {"pledge", "pay", "release"},
        ),
        ("AdvanceRules", set[str]()),
    ],
)
def test_it_has_these_verbs_and_no_other(contract: str, verbs: set[str]) -> None:
    """A-3: an arbiter rules and hands on its fees, and has no owner and no other panel, ever; a company cannot pass its income on (S-1)."""
    abi = json.loads((ABI / f"{contract}.json").read_text(encoding="utf-8"))["abi"]
    changing = {
        entry["name"] for entry in abi if entry.get("stateMutability") in {"nonpayable", "payable"} and "name" in entry
    }

    assert changing == verbs
