"""What `make bench PART=finance` measures, in words. Imports nothing heavy: documents are rendered by it too."""

from __future__ import annotations

COMMAND = "make bench PART=finance"

UNEXPLAINED = "finance.units_unexplained"
MOVEMENTS = "finance.movements"
THIEF_GAIN = "finance.thief_gain"
RUN_GAIN = "finance.run_gain"
RATE_0, RATE_50 = "finance.advance_rate_beta0", "finance.advance_rate_beta50"
RATE_0_NET, RATE_50_NET = RATE_0 + "_net", RATE_50 + "_net"
GAS_DRAW, GAS_COLLECT, GAS_SIGNATURE = "finance.gas_draw", "finance.gas_collect", "finance.gas_signature"
NAIVE_LOSS = "finance.naive_loss"


def words() -> dict[str, str]:
    """What each key of ``docs/figures.json`` says."""
    return {
        MOVEMENTS: "movements of money in thirty days around three vaults, each with its rule",
        UNEXPLAINED: "token units of them that no rule explains",
        THIEF_GAIN: "token units that a thief with two keys gained in his best branch, all that is his counted",
        RUN_GAIN: "token units that who asked out before a dispute had more than who asked after it",
        RATE_0: "of a lease's whole price, percent that its owner was paid ahead at beta 0",
        RATE_0_NET: "of it, percent beyond its own bond",
        RATE_50: "of a lease's whole price, percent that its owner was paid ahead at beta 50 %",
        RATE_50_NET: "of it, percent beyond its own bond",
        GAS_DRAW: "gas of a first draw",
        GAS_COLLECT: "gas of a collection, median",
        GAS_SIGNATURE: "gas of asking a pledged company about a last receipt below the clock, everything cold",
        NAIVE_LOSS: "token units that the naive vault lost to the same thief",
    }
