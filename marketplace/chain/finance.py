"""What a deployment with finance adds to a market: the factory of companies and the arbiter with a backstop. The market knows none of it.

``docs/finance.md`` says what they promise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marketplace.chain.checksums import address_from_text
from marketplace.chain.constants import LOCAL_CHAINS, MarketConstants, Preset
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Address
from marketplace.domain.units import Seconds
from marketplace.domain.wire import integer_from_wire

FACTORY, ARBITER = "SpvFactory", "BackstopArbiter"


@dataclass(frozen=True, slots=True)
class FinanceTerms:
    """What factory and arbiter are born with, and keep."""

    panel: Address
    """Who rules on disputes under the arbiter."""
    step: Seconds
    """How long before the ruling window ends anybody may have it rule for the provider."""
    slack: Seconds
    """How far behind the clock the floor of pledged companies is."""


FINANCE_PRESETS: Final[Mapping[Preset, tuple[Seconds, Seconds]]] = {
    Preset.LOCAL: (Seconds(10), Seconds(2)),
    Preset.L2: (Seconds(86_400), Seconds(3_600)),
}
"""Step and slack, by preset."""


def check_finance(terms: FinanceTerms, constants: MarketConstants) -> None:
    """Raise InvalidField for a step that leaves the panel or anybody else no time."""
    if not 1 <= terms.step < constants.ruling_window:
        raise InvalidField(
            "step", f"{terms.step} s; it must be from 1 s to less than the ruling window, {constants.ruling_window} s"
        )


def finance_terms(chain_id: int, panel: Address, preset: Preset | None) -> FinanceTerms:
    """The preset's: where none is named, the local chain's or an L2's."""
    step, slack = FINANCE_PRESETS[preset or (Preset.LOCAL if chain_id in LOCAL_CHAINS else Preset.L2)]
    return FinanceTerms(panel, step, slack)


def finance_to_json(terms: FinanceTerms) -> dict[str, Any]:
    return {"panel": terms.panel, "step": terms.step, "slack": terms.slack}


def finance_from_json(document: Any) -> FinanceTerms:
    """What ``finance_to_json`` wrote. Raises InvalidField, KeyError, TypeError."""
    step, slack = (Seconds(integer_from_wire(str(document[name]), f"finance.{name}")) for name in ("step", "slack"))
    return FinanceTerms(address_from_text(document["panel"], field="finance.panel"), step, slack)
