"""What an agent makes of a gateway that does not hand out a job's papers."""

from __future__ import annotations

import pytest

from marketplace.domain.errors import GatewayProblem
from marketplace.provider.intake import _undelivered
from marketplace.provider.preflight import ObstacleReason


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503])
def test_what_may_pass_is_asked_for_again(status: int) -> None:
    """A gateway whose node has not seen the lease yet says 404 to its provider: that is no reason to give the lease back at once."""
    with pytest.raises(GatewayProblem):
        _undelivered(GatewayProblem(status, "NotFound", "not here"), ObstacleReason.SPEC_NOT_DELIVERED, "the work")


@pytest.mark.parametrize("status", [400, 403, 410, 413, 422])
def test_a_plain_no_is_an_obstacle(status: int) -> None:
    """It would be said again."""
    problem = GatewayProblem(status, "Forbidden", "never")

    assert (
        _undelivered(problem, ObstacleReason.SPEC_NOT_DELIVERED, "the work").reason is ObstacleReason.SPEC_NOT_DELIVERED
    )
