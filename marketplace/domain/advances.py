"""What stands behind money that is advanced against a lease: what its payee still gets, exit by exit (specification, What everyone gets)."""

from __future__ import annotations

from dataclasses import dataclass

from marketplace.domain.leases import Lease
from marketplace.domain.orders import Order
from marketplace.domain.pricing import earned_rounded_down, elapsed_of
from marketplace.domain.units import Seconds, TokenUnits, UnixTime


@dataclass(frozen=True, slots=True)
class PayeeExit:
    """One way in which a lease may end, by whose word it does, and what its payee gets from now on."""

    ending: str
    by: str
    to_payee: TokenUnits


def exits_for_payee(order: Order, lease: Lease, at: UnixTime) -> tuple[PayeeExit, ...]:
    """What the payee of an open lease gets if it ends now in each of these ways, the best last. What was paid stays paid in all of them."""
    elapsed, paid = elapsed_of(order, lease, at), lease.paid_seconds

    def further(seconds: int) -> TokenUnits:
        up_to = earned_rounded_down(lease.price, order.gpus, Seconds(max(seconds, paid)))
        return TokenUnits(up_to - earned_rounded_down(lease.price, order.gpus, paid))

    guaranteed = max(elapsed, order.min_seconds)
    return (
        PayeeExit("it expires: nobody claims in time", "silence", further(0)),
        PayeeExit("it is disputed, and ruled: nothing, provider at fault", "client + arbiter", further(0)),
        PayeeExit(
            "it is disputed, and the arbiter is silent", "client", further(paid + max(0, guaranteed - paid) // 2)
        ),
        PayeeExit("it is ended by its client", "client", further(guaranteed)),
        PayeeExit("it is served to its end", "nobody", further(order.max_seconds)),
    )


RULES = {
    0: "nothing forbids more",
    1: "V-1: the company does not serve it so that it can no longer decline, or the loan on it is over",
    2: "V-2: the vault does not lend on this client's word: it lends what is covered",
    3: "V-3: another arbiter, or it takes too long until everything is decided",
    5: "V-5: what stands behind it, over what will be owed",
    6: "V-6: whoever drew more and left would gain",
    7: "V-7: a day has to be served and paid for first",
    8: "V-8: a cap of the vault, or what it has",
}
"""What `limitOf` says by number."""
