"""Who may act on a lease for its client's side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.client.leases import require_client_side
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import ZERO_ADDRESS
from tests.unit.engine.markets import OPENER, PEOPLE, an_order

CLIENT, ACCEPTOR, STRANGER = PEOPLE[:3]
ORDER = replace(an_order().signed.order, client=CLIENT, acceptor=ACCEPTOR, opener=OPENER)


@pytest.mark.parametrize("who", [STRANGER, OPENER, ZERO_ADDRESS])
def test_nobody_else_stakes_money_on_a_dispute(who: str) -> None:
    """The client and its acceptor may; others are told who may before anything is sent."""
    for allowed in (CLIENT, ACCEPTOR):
        require_client_side(ORDER, allowed, "dispute it")

    with pytest.raises(Forbidden, match="cannot dispute it: only the order's client or acceptor can"):
        require_client_side(ORDER, who, "dispute it")  # type: ignore[arg-type]
