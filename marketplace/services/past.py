"""The past as the gateway tells it: prices over time, scores, statements, delegates, and whether the market is solvent."""

from __future__ import annotations

from marketplace.api.history import MOST_SPANS, HistoryAnswer, ScorePage, ScoreTold, SpanSeconds, SpanTold
from marketplace.api.record import BlockTold
from marketplace.api.statements import (
    DelegatePage,
    DelegateTold,
    EntryTold,
    SolvencyAnswer,
    StatementPage,
    statement_csv,
)
from marketplace.chain.market import MarketContract
from marketplace.chain.token import TokenContract
from marketplace.domain.classes import GpuClass
from marketplace.domain.errors import StoreUnavailable
from marketplace.domain.history import Span
from marketplace.domain.ids import Address
from marketplace.domain.units import UnixTime
from marketplace.store.board import Board
from marketplace.store.board_past import ClassHistory

CSV_ENTRIES = 10_000
"""Of one file. A longer statement goes on in another."""
USUAL_SPANS = 60


class PastDesk:
    """Everything here is as of the projection's block. Raises StoreUnavailable while there is no whole projection."""

    def __init__(self, market: MarketContract, board: Board) -> None:
        self._market, self._board = market, board
        self._token = TokenContract(market.chain, market.terms().token)

    def history(
        self, gpu_class: GpuClass, seconds: SpanSeconds, since: UnixTime | None, upto: UnixTime | None
    ) -> HistoryAnswer:
        """The spans that ``since`` to ``upto`` fall into, of more than are told the last ones; without both the newest."""
        now = self._now()
        last = _floor(min(now, now if upto is None else upto), seconds)
        asked = _floor(since, seconds) if since is not None else last - (USUAL_SPANS - 1) * seconds
        # Nothing is told of what is behind the last one: the store counts the days up to the first, so it must not lie ages ahead.
        first = UnixTime(max(0, min(asked, last + seconds), last - (MOST_SPANS - 1) * seconds))
        found = self._board.past.history(gpu_class.number, seconds, first, last)
        spans = self._told(found, seconds, first, last)
        return HistoryAnswer(gpu_class.number, gpu_class.name, seconds, spans, BlockTold.of(found.block))

    def scores(self, provider: Address, after: str | None, limit: int) -> ScorePage:
        """How a provider's score has moved, newest first."""
        page = self._board.past.scores(provider, after, limit)
        return ScorePage(list(map(ScoreTold.of, page.items)), BlockTold.of(page.block), page.onward)

    def statement(self, account: Address, after: str | None, limit: int) -> StatementPage:
        """Everything that came into an account's free balance, and went."""
        page, terms = self._board.past.movements(account, after, limit), self._market.terms()
        entries = [EntryTold.of(movement, terms) for movement in page.items]
        return StatementPage(account, entries, BlockTold.of(page.block), page.onward)

    def statement_file(self, account: Address, after: str | None) -> tuple[str, str | None]:
        """The same as CSV, and where it goes on."""
        page = self._board.past.movements(account, after, CSV_ENTRIES)
        return statement_csv(page.items, self._market.terms()), page.onward

    def delegates(self, account: Address, after: str | None, limit: int) -> DelegatePage:
        """Whom an account has given a budget."""
        page, terms = self._board.past.delegates(account, after, limit), self._market.terms()
        told = [DelegateTold.of(one.delegate, one.budget, one.charges, terms) for one in page.items]
        return DelegatePage(account, told, BlockTold.of(page.block), page.onward)

    def solvency(self) -> SolvencyAnswer:
        """What the market holds, by the token's word, beside what it owes, both at one block. Raises ChainUnavailable."""
        block, owed = self._board.past.totals()
        held = self._token.balance_of(self._market.address, block)
        return SolvencyAnswer.of(held, owed, block, self._market.terms())

    def _told(self, found: ClassHistory, seconds: int, first: UnixTime, last: UnixTime) -> list[SpanTold]:
        let, listed, told = found.let, found.listed, list[SpanTold]()
        for start in range(first, last + 1, seconds):
            span = found.spans.get(UnixTime(start), Span())
            let, listed = let + span.let, listed + span.listed
            told.append(SpanTold.of(UnixTime(start), span, let, listed, self._market.terms()))
        return told

    def _now(self) -> UnixTime:
        block = self._board.cursor()
        if block is None:
            raise StoreUnavailable("projection")
        return block.timestamp


def _floor(at: int, seconds: int) -> UnixTime:
    return UnixTime(at - at % seconds)
