"""The handle of one job. It holds no state of its own: everything is read from the journal, the chain and the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from marketplace.api.client.lease_calls import MOST_LOG_BYTES
from marketplace.api.gpu_use import GpuSampleDocument
from marketplace.api.job_use import JobSampleDocument
from marketplace.client.explanations import explanation_kept
from marketplace.client.job_summary import Attempt, JobResult, JobSummary, Progress
from marketplace.client.journal_rows import KeptJob, KeptOrder
from marketplace.client.log_reading import LogReader
from marketplace.client.session import ClientSession
from marketplace.client.spending import Opening, Sums, exit_of, is_over, servings_of, sums_of
from marketplace.domain.blocks import BlockRef
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.errors import DeadlinePassed, GatewayProblem, JobFailed
from marketplace.domain.ids import Bytes32
from marketplace.domain.orders import Order
from marketplace.domain.pricing import earned_rounded_down, worst_cost_of
from marketplace.domain.results import EndedReason, Output, Result, read_result
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.states import JobEvent, JobState
from marketplace.domain.units import Seconds
from marketplace.domain.unpacking import unpack_bundle
from marketplace.domain.work import Work, read_work
from marketplace.sealing import open_work

OnOutput = Callable[[str], None]
"""Is told what the job has printed since the last time."""
OnProgress = Callable[[Progress], None]


class Job:
    """A piece of work over all its orders and retries.

    job.wait()          until it is over; countersigns on the way
    job.result()        its exit code, seconds, cost and outputs, verified
    job.download(into)  its outputs as files
    """

    def __init__(self, session: ClientSession, identifier: Bytes32) -> None:
        self._session = session
        self.id = identifier

    def __repr__(self) -> str:
        return f"Job({self.id[:10]}…, {self.state.value})"

    @property
    def kept(self) -> KeptJob:
        """The job as the journal has it now."""
        return self._session.book.job(self.id)

    @property
    def name(self) -> str:
        return self.kept.job.name

    @property
    def number(self) -> int:
        """Its short name: jobs of this journal are counted from 1."""
        return self.kept.number

    @property
    def state(self) -> JobState:
        return self.kept.job.state

    @property
    def is_terminal(self) -> bool:
        return self.kept.job.is_terminal

    @property
    def is_posted(self) -> bool:
        """Whether a gateway has taken its present order. Until then it is signed, and posted again with every step."""
        return self._order().is_posted

    @property
    def note(self) -> str:
        """Why its present order stands still, e.g. why no gateway has taken it yet; empty when it does not."""
        return self._order().note

    @property
    def signed(self) -> Order:
        """Its present order, as it was signed."""
        return self._order().signed.order

    @property
    def history(self) -> tuple[JobEvent, ...]:
        return self.kept.job.history

    @property
    def orders(self) -> tuple[Bytes32, ...]:
        """The ids of its orders, which are the ids of their leases."""
        return self.kept.job.orders

    @property
    def spec(self) -> JobSpec:
        """The spec of the present order."""
        return read_spec(self._order().spec)

    @property
    def work(self) -> Work:
        """What it runs: the same in all its orders."""
        work, key = read_work(self._order().work), self._key
        return work if key is None else open_work(work, key)

    @property
    def is_sealed(self) -> bool:
        """Whether its key has to be handed over when a lease of it opens: something that moves jobs along must run then."""
        return self._key is not None

    @property
    def secret_names(self) -> tuple[str, ...]:
        """Its secrets, which have to be handed over in the same way, by what knows their values."""
        named = read_work(self._order().work).secrets
        return named.names if named else ()

    @property
    def _key(self) -> str | None:
        return self._session.book.job_key(self.id)

    # -- waiting ------------------------------------------------------------------------------------------------------

    def wait(
        self, timeout: float | None = None, on_progress: OnProgress | None = None, on_output: OnOutput | None = None
    ) -> JobState:
        """Move the job along until it is over; its last state. Raise DeadlinePassed after ``timeout`` seconds."""
        reader = LogReader(self._session.api)
        for block in self._session.steps(timeout):
            is_over = self.is_terminal
            if on_progress is not None:
                on_progress(self.progress(block))
            if on_output is not None and (text := self.new_output(reader)):
                on_output(text)
            if is_over:
                return self.state
        raise DeadlinePassed(f"the end of job {self.id}", int(timeout or 0))

    def wait_settled(self, timeout: float | None = None) -> Sums:
        """Wait until the job is over and all of its money has moved; what moved. Raise DeadlinePassed."""
        for block in self._session.steps(timeout):
            if self.is_settled(block):
                return self.sums()
        raise DeadlinePassed(f"the settlement of job {self.id}", int(timeout or 0))

    def is_settled(self, block: BlockRef) -> bool:
        """Whether the job is over and nothing of it is locked any more, going by the events read so far."""
        return self.is_terminal and all(
            is_over(order.signed.order, self._session.book.moves(order.signed.id), block.timestamp)
            for order in self._session.book.orders(self.id)
        )

    def progress(self, block: BlockRef) -> Progress:
        """Where it stands at this block."""
        order = self._order()
        servings = servings_of(self._session.book.moves(order.signed.id))
        is_running = bool(servings) and not servings[-1].exit and self.state is JobState.RUNNING
        elapsed = block.timestamp - max(servings[-1].opened_at, order.signed.order.starts_at) if is_running else 0
        limit = order.signed.order.max_seconds
        note = order.note or self._session.provisional(order, block)
        return Progress(self.state, block, Seconds(max(0, min(elapsed, limit))), limit, note, order.is_posted)

    # -- what it says -------------------------------------------------------------------------------------------------

    def logs(self, follow: bool = False) -> Iterator[str]:
        """The job's output so far; with ``follow`` as it grows, until the job is over. A retry's log follows the first.

        Read with every block and not from the gateway's event stream, because the job has to be moved along meanwhile.
        """
        if not follow:
            yield self._whole_log()
            return
        reader = LogReader(self._session.api)
        for _ in self._session.steps(None):
            is_over = self.is_terminal
            if text := self.new_output(reader):
                yield text
            if is_over:
                return

    def gpu_samples(self) -> list[GpuSampleDocument]:
        """How busy its GPUs were lately, oldest first: its provider's word. None where it tells of none, or nothing runs."""
        try:
            return self._session.api.gpus.samples(self._order().signed.id)
        except GatewayProblem:
            return []  # there is no lease, or its gateway is an older one

    def use_samples(self) -> list[JobSampleDocument]:
        """What it used of processors and memory lately, oldest first: its provider's word. None where it tells of none, or nothing runs."""
        try:
            return self._session.api.gpus.job_samples(self._order().signed.id)
        except GatewayProblem:
            return []  # there is no lease, or its gateway is an older one

    def new_output(self, reader: LogReader) -> str:
        """What came of its output since the reader was used last; all of it, once the job is over. That of a sealed job is not streamed."""
        lease = self._order().signed.id
        verified = self._verified_log() if self.is_terminal else None
        if verified is not None:
            return reader.finish(lease, verified)
        return "" if self._key else reader.read(lease)

    def _whole_log(self) -> str:
        """The verified log where there is one, otherwise what the gateway has of the running one."""
        verified = self._verified_log()
        if verified is not None:
            return verified.decode(errors="replace")
        return "" if self._key else LogReader(self._session.api).read(self._order().signed.id)

    def _verified_log(self) -> bytes | None:
        found = self._document()
        if found is None or not self._session.results.has(found.log.sha256):
            return None
        with self._session.results.opened([found.log.sha256], self._key) as log:
            return log.read(MOST_LOG_BYTES)

    # -- what came of it ----------------------------------------------------------------------------------------------

    def result(self) -> JobResult:
        """The verified result; raise JobFailed with the reason while there is none."""
        found, receipt = self._document(), self._session.book.last_receipt(self._order().signed.id)
        if found is None or receipt is None:
            raise JobFailed(self.id, f"has no result: it is {self.state.value}{self._why()}")
        order = self._order()
        openings = reversed(servings_of(self._session.book.moves(order.signed.id)))
        price = next((one.price for one in openings if one.opened_at == receipt.receipt.opened_at), None)
        if price is None:
            raise JobFailed(self.id, "has no result: the chain has taken back the opening that it is of")
        used = receipt.receipt.used_seconds
        return JobResult(
            exit_code=found.exit_code,
            ended=found.reason,
            used_seconds=used,
            price=price,
            cost=earned_rounded_down(price, order.signed.order.gpus, used),
            provider=self._session.provider_of(receipt.receipt.offer),
            lease=order.signed.id,
            result=found.sha256,
            outputs=found.outputs,
            log=found.log,
            is_countersigned=bool(receipt.signature),
        )

    @property
    def ended(self) -> EndedReason | None:
        """Why the job is over, as the verified result says, and by ``.by`` whose doing that was; None while there is none."""
        found = self._document()
        return found.reason if found else None

    def download(self, into: Path) -> tuple[Path, ...]:
        """Unpack the outputs below ``into`` and return the files. Never overwrites: InvalidField names what is in the way.

        What was not delivered is named in ``result().left_out``. Of a job that was cancelled or lost, what its provider left.
        """
        found = self._document()
        if found is None and self.is_terminal and self._session.collect(self._order()):
            found = self._document()
        if found is None:
            raise JobFailed(self.id, f"has no outputs: it is {self.state.value}{self._why()}")
        self._session.results.fetch(found, self._order().signed.id)
        files: list[Path] = []
        allowance = Allowance(self.spec.resources.disk_mib << 20)
        for output in filter(_is_delivered, found.outputs):
            folder = into / _folder_of(output, found.outputs)
            with self._session.results.opened(output.parts, self._key) as bundle:
                names = unpack_bundle(bundle, folder, allowance)
            files += [folder / name for name in names if (folder / name).is_file()]
        return tuple(files)

    def sums(self) -> Sums:
        """What was paid, refunded and compensated over all its orders."""
        total = Sums()
        for attempt in self.attempts():
            total = total.plus(attempt.sums)
        return total

    def attempts(self) -> tuple[Attempt, ...]:
        """Its orders, oldest first."""
        return tuple(self._attempt(order) for order in self._session.book.orders(self.id))

    def explain(self) -> JobSummary:
        """All of it: history, attempts, reasons, money."""
        kept, block = self.kept, self._session.chain.head()
        explanation, was_waiting = (
            explanation_kept(self._order()),
            kept.job.state in (JobState.SUBMITTED, JobState.UNPLACED),
        )
        if explanation is not None and explanation.placed_on is None and not was_waiting:
            explanation = None  # of the time before it was placed
        return JobSummary(
            job=self.id, number=kept.number, name=kept.job.name, command=self.work.command, state=kept.job.state,
            history=kept.job.history, attempts=self.attempts(), sums=self.sums(), is_settled=self.is_settled(block),
            explanation=explanation, result=self.result() if self._document() else None, group=kept.group,
        )  # fmt: skip

    def cancel(self) -> JobState:
        """Call it off, for good: before it runs at no cost, afterwards for the time it ran. Returns when the chain has it.

        A lease that was given up for silence is kept for its bond, and ended at its provider's first sign of life.
        """
        self.call_off()
        return self.wait()

    def call_off(self) -> bool:
        """Have its order ended on the chain, and do not wait for the job's state to say so; False where the order was over already."""
        return self._session.cancel(self._order())

    def _attempt(self, order: KeptOrder) -> Attempt:
        moves = self._session.book.moves(order.signed.id)
        servings, closing = servings_of(moves), exit_of(moves)
        return Attempt(
            order=order.signed.id, number=order.attempt, max_price=order.signed.order.max_price, servings=servings,
            opener=order.signed.order.opener, arbiter=order.signed.order.arbiter, worst_cost=worst_cost_of(order.signed.order),
            provider=self._session.provider_of(servings[-1].offer) if servings else None,
            exit=type(closing).__name__ if closing else "", sums=sums_of(order.signed.order, moves),
            note=order.note or _kept_for_its_bond(order, servings), is_posted=order.is_posted,
        )  # fmt: skip

    def _order(self) -> KeptOrder:
        return self._session.book.order(self.kept.job.order)

    def _document(self) -> Result | None:
        receipt = self._session.book.last_receipt(self._order().signed.id)
        return read_result(receipt.result) if receipt else None

    def _why(self) -> str:
        last = self.history[-1]
        return f" ({last.reason.value.replace('_', ' ')}{': ' + last.note if last.note else ''})"


def _kept_for_its_bond(order: KeptOrder, servings: Sequence[Opening]) -> str:
    is_live = bool(servings) and not servings[-1].exit
    return "given up for silence, and kept for its bond" if is_live and order.given_up_at is not None else ""


def _is_delivered(output: Output) -> bool:
    return bool(output.parts)


def _folder_of(output: Output, all_of_them: tuple[Output, ...]) -> PurePosixPath:
    """Where an output unpacks: a single one in the folder itself, several by their paths below /job."""
    return PurePosixPath() if len(all_of_them) == 1 else PurePosixPath(output.path).relative_to("/job")
