"""Why a job's order waits, or was placed where it was: the scheduler's words, asked for now and then, and kept in the journal."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.api.client.gateway import GatewayApi
from marketplace.api.orders import ExplanationTold
from marketplace.api.reading import read
from marketplace.api.record import to_json
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptJob, KeptOrder
from marketplace.client.posting import Poster
from marketplace.domain.blocks import BlockRef
from marketplace.domain.book import RejectionReason
from marketplace.domain.errors import GatewayProblem, GatewayUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.domain.states import JobState

EXPLANATIONS_A_STEP = 32
"""Jobs that ask in one step why they wait, each in its turn."""


class Explanations:
    """Asks a gateway for a few jobs in each step, each in its turn, so that a step stays shorter than a block."""

    def __init__(self, api: GatewayApi, book: JobJournal, poster: Poster) -> None:
        self._api, self._book, self._poster = api, book, poster
        self._asked_from = 0
        self._asking: frozenset[Bytes32] = frozenset()

    def begin_step(self, jobs: Sequence[KeptJob]) -> None:
        """Whose turn it is."""
        first = self._asked_from % len(jobs) if jobs else 0
        turn = (*jobs[first:], *jobs[:first])[:EXPLANATIONS_A_STEP]
        self._asked_from = first + len(turn)
        self._asking = frozenset(kept.job.id for kept in turn)

    def keep_in_turn(self, kept: KeptJob, order: KeptOrder, block: BlockRef) -> None:
        """Ask, where it is the job's turn."""
        if kept.job.id in self._asking:
            self.keep(kept, order, block)

    def keep(self, kept: KeptJob, order: KeptOrder, block: BlockRef) -> None:
        """Remember why a waiting order waits, and then why it was placed where it was. Its expiry, said later, is no reason
        worth remembering instead."""
        known, is_waiting = explanation_kept(order), kept.job.state is JobState.SUBMITTED
        if not order.is_posted or not (is_waiting or known is None or known.placed_on is None):
            return
        try:
            told = self._api.explanation(order.signed.id)
        except GatewayProblem as exc:
            if exc.status == 404 and is_waiting:
                self._poster.bring_again(order, block.timestamp)
            return
        except GatewayUnavailable:
            return
        if told is None or not (is_waiting or told.placed_on is not None):
            return
        if known is None or set(told.reasons) != {RejectionReason.ORDER_EXPIRED}:
            self._book.keep_explanation(order.signed.id, to_json(told).decode())


def explanation_kept(order: KeptOrder) -> ExplanationTold | None:
    """What the scheduler said last about the order while it waited."""
    if not order.explanation:
        return None
    return read(ExplanationTold, order.explanation.encode())


def nearest_miss(order: KeptOrder) -> str:
    """What the scheduler said about an order that nobody served, in a line."""
    told = explanation_kept(order)
    if told is None:
        return ""
    return told.nearest_miss or ", ".join(f"{name} ×{count}" for name, count in told.reasons.items())
