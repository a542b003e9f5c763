"""What running jobs use of processors and memory: their providers' word, kept on the board for the lease's parties."""

from __future__ import annotations

from marketplace.api.job_use import MOST_KEPT, JobSampleDocument, JobSamplesAnswer, JobSamplesSent
from marketplace.api.reading import read
from marketplace.api.record import to_json
from marketplace.chain.market import MarketContract
from marketplace.chain.shares import Part
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, Bytes32
from marketplace.services.access import Asker, LeaseAccess
from marketplace.services.servings import Servings
from marketplace.store.board import Board


class JobUseDesk:
    """Takes and shows samples. Redis may forget them: nothing is decided by them."""

    def __init__(self, market: MarketContract, access: LeaseAccess, servings: Servings, board: Board) -> None:
        self._market, self._access, self._servings, self._board = market, access, servings, board

    def post(self, sender: Address, lease: Bytes32, sent: JobSamplesSent) -> None:
        """Keep them behind those that are there. Raises NotFound, Forbidden, StoreUnavailable."""
        if self._market.companies.speaker_of(self._servings.now(lease).provider) != sender:
            raise Forbidden("only the lease's provider says what its job uses")
        self._board.keep_job_samples(lease, [to_json(sample) for sample in sent.samples], MOST_KEPT)

    def samples(self, reader: Asker, lease: Bytes32) -> JobSamplesAnswer:
        """For whoever may read the job's log. Raises Unauthorized, NotFound, StoreUnavailable."""
        self._access.require(reader, lease, Part.LOG)
        return JobSamplesAnswer([read(JobSampleDocument, text) for text in self._board.job_samples(lease)])
