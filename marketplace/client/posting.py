"""Brings signed orders to gateways. An order that was shown to one is out of our hands: whatever was answered, it lives until the chain says otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.api.client.gateway import GatewayApi
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.domain.errors import GatewayError, GatewayProblem
from marketplace.domain.ids import Bytes32
from marketplace.domain.refusals import Refusal
from marketplace.domain.units import UnixTime, iso_from_time
from marketplace.library_log import LibraryLog

_log = LibraryLog(__name__)

WAITS_FOR_MONEY = frozenset({Refusal.ClientBalanceTooLow.name, "InsufficientBalance"})
"""Refusals of a retry that pass by themselves: the silent provider's lease still locks the money."""

_PASSING = frozenset({200, 408, 429})
"""An answer that cannot be read, a body that came too slowly, too many requests."""
_OTHERS_LACK = frozenset({"MissingBlob"})
"""What a gateway says that has not got the files that were left at another one."""

AGAIN_AFTER_SECONDS = 30
"""Block time after which an order that a gateway has forgotten, and does not take, is posted to it once more."""


class Poster:
    """Posts one account's orders, to the preferred gateway and then to the others."""

    def __init__(self, api: GatewayApi, others: Sequence[GatewayApi], book: JobJournal) -> None:
        self._gateways, self._book = (api, *others), book
        self._posted_again: dict[Bytes32, UnixTime] = {}

    def leave(self, specs: Sequence[bytes], work: bytes) -> None:
        """Have a gateway hold the documents of orders that nobody has seen yet. Raise what they are refused for by all.

        A gateway that does not answer is no reason not to sign: the documents are brought again with the orders.
        """
        refusals: list[GatewayError] = []
        for api in self._gateways:
            try:
                for spec in specs:
                    api.put_blob(spec, public=True)
                api.put_blob(work)
            except GatewayError as exc:
                if is_refusal(exc):
                    refusals.append(exc)
            else:
                return
        if len(refusals) == len(self._gateways):
            raise refusals[0]

    def post(self, order: KeptOrder) -> None:
        """Upload the spec and the work, and put the order on a book; raise what the first gateway says where none takes it."""
        first: GatewayError | None = None
        for api in self._gateways:
            try:
                api.put_blob(order.spec, public=True)
                api.put_blob(order.work)
                _require_id(order, api.post_order(order.signed))
            except GatewayError as exc:
                # A refusal says more than that somebody does not answer.
                first = exc if first is None or (is_refusal(exc) and not is_refusal(first)) else first
            else:
                self._book.mark_posted(order.signed.id)
                return
        assert first is not None, "there is a gateway"
        raise first

    def bring(self, order: KeptOrder) -> None:
        """Post an order that no gateway has taken yet. What is answered is noted; a refused one is watched, and not posted again."""
        try:
            self.post(order)
        except GatewayError as exc:
            self.note(order, exc)

    def note(self, order: KeptOrder, error: GatewayError) -> None:
        """Write down why no gateway has taken the order, and whether any may yet."""
        waits = order.attempt > 1 and error.reason in WAITS_FOR_MONEY
        if is_refusal(error) and not waits:
            until = iso_from_time(order.signed.order.expires_at)
            self._book.mark_refused(order.signed.id, f"refused ({error}); whoever saw it may open it until {until}")
            _log.warning("order.refused", order=order.signed.id, reason=error.reason)
        else:
            self._book.note(order.signed.id, str(error))

    def bring_again(self, order: KeptOrder, now: UnixTime) -> None:
        """Bring an order to a gateway that has forgotten it: its journal may be yesterday's. Nothing is given up for what it says."""
        identifier = order.signed.id
        if now < self._posted_again.get(identifier, UnixTime(0)) + AGAIN_AFTER_SECONDS:
            return
        self._posted_again[identifier] = now
        try:
            self.post(order)
        except GatewayError as exc:
            self._book.note(identifier, f"the gateway has forgotten it, and does not take it again: {exc}")
        else:
            _log.info("order.posted_again", order=identifier)


def is_refusal(error: GatewayError) -> bool:
    """Whether a gateway has read the order and will not have it. All else passes: the trouble is its own, the line's, or somebody's between."""
    if not isinstance(error, GatewayProblem) or error.reason in _OTHERS_LACK:
        return False
    is_ours = not error.reason.startswith("Http")  # a problem of ours, and not somebody's page
    return is_ours and 400 <= error.status < 500 and error.status not in _PASSING


def _require_id(order: KeptOrder, told: Bytes32) -> None:
    if told != order.signed.id:
        raise GatewayProblem(200, "BadAnswer", f"the gateway speaks of order {told[:80]}, not of {order.signed.id}")
