"""How busy the GPUs of running jobs are: their providers' word, kept on the board for the lease's parties."""

from __future__ import annotations

from marketplace.api.gpu_use import MOST_KEPT, GpuSampleDocument, GpuSamplesAnswer, GpuSamplesSent
from marketplace.api.reading import read
from marketplace.api.record import to_json
from marketplace.chain.shares import Part
from marketplace.domain.errors import Forbidden
from marketplace.domain.ids import Address, Bytes32
from marketplace.services.access import Asker, LeaseAccess
from marketplace.services.servings import Servings
from marketplace.store.board import Board


class GpuUseDesk:
    """Takes and shows samples. Redis may forget them: the job's log has their sum when it is over."""

    def __init__(self, access: LeaseAccess, servings: Servings, board: Board) -> None:
        self._access, self._servings, self._board = access, servings, board

    def post(self, sender: Address, lease: Bytes32, sent: GpuSamplesSent) -> None:
        """Keep them behind those that are there. Raises NotFound, Forbidden, StoreUnavailable."""
        if self._servings.now(lease).provider != sender:
            raise Forbidden("only the lease's provider says how busy its GPUs are")
        self._board.keep_gpu_samples(lease, [to_json(sample) for sample in sent.samples], MOST_KEPT)

    def samples(self, reader: Asker, lease: Bytes32) -> GpuSamplesAnswer:
        """For whoever may read the job's log. Raises Unauthorized, NotFound, StoreUnavailable."""
        self._access.require(reader, lease, Part.LOG)
        return GpuSamplesAnswer([read(GpuSampleDocument, text) for text in self._board.gpu_samples(lease)])
