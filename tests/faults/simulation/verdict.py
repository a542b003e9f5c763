"""What must be true at the end, held against the contract, the token and the ledger's fold over the chain's own events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from marketplace.chain.events import EventFollower
from marketplace.chain.outbox import OutboxFile
from marketplace.chain.token import TokenContract
from marketplace.client.spending import exit_of, sums_of
from marketplace.domain import events as e
from marketplace.domain.events import Event
from marketplace.domain.ids import Bytes32
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.ledger import LeaseRecord, Rows, replay
from marketplace.domain.states import JobState, ServingState
from marketplace.domain.transactions import SendingState
from marketplace.services.books import Books, read_books
from marketplace.services.reconcile import reconcile, reconcile_reputations
from marketplace.store.board import Board
from tests.faults.simulation.parties import AgentParty, ClientParty, IndexerParty, Party
from tests.faults.simulation.people import Wish
from tests.faults.simulation.stage import Stage
from tests.faults.simulation.world import CLIENTS, FUNDS, PROVIDERS, WALLET

PAID_EXITS = ("LeaseSettled", "LeaseFinalized")
ENDS = {
    JobState.SUCCEEDED: PAID_EXITS, JobState.FAILED: PAID_EXITS, JobState.LOST: ("LeaseExpired", "LeaseDeclined", *PAID_EXITS),
    JobState.CANCELLED: ("LeaseTerminated", "OrderCancelled"), JobState.UNPLACED: ("", "OrderCancelled"),
}  # fmt: skip
"""How the lease of the order that a job is about may have ended on the chain, by how the job did."""


@dataclass
class Verdict:
    """What was wrong; nothing, if all is well."""

    wrongs: list[str] = field(default_factory=list)
    units_lost: int = 0
    doubled: int = 0

    @property
    def is_good(self) -> bool:
        return not self.wrongs


class Judge:
    """Looks at everything once, when all is quiet."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.world, self.market = stage, stage.world, stage.world.market
        self.follower = EventFollower(stage.world.chain, self.market.address, confirmations=1)
        self.events: Sequence[Event] = self._all_events()
        self.rows: Rows = replay(self.events, self.market.terms().bond_floor)
        self.verdict = Verdict()

    def _all_events(self) -> Sequence[Event]:
        terms = self.market.terms()
        return tuple(self.follower.history(terms.deployed_at_block, self.world.head.number))

    def judge(self) -> Verdict:
        self._money()
        for wrong in (*self._wishes(), *self._offers(), *self._projection(), *self._crashes()):
            self.verdict.wrongs.append(wrong)
        for party in self.stage.parties.values():
            found: Iterator[str] = iter(())
            if isinstance(party, AgentParty):
                found = self._servings(party)
            elif isinstance(party, ClientParty):
                found = self._jobs(party)
            self.verdict.wrongs += found
        return self.verdict

    # Money

    def _money(self) -> None:
        books: Books = read_books(self.market, self.follower)
        token = TokenContract(self.world.chain, self.market.terms().token)
        owed = sum(books.accounts.values()) + books.locked
        wallets = sum(token.balance_of(key.address) for key in (*CLIENTS, *PROVIDERS))
        minted = len((*CLIENTS, *PROVIDERS)) * FUNDS + len(CLIENTS) * WALLET
        self.verdict.units_lost = abs(books.held - owed) + abs(minted - wallets - books.held)
        if self.verdict.units_lost:
            self.verdict.wrongs.append(
                f"money: the market holds {books.held}, owes {owed}; wallets {wallets} of {minted}"
            )
        if not books.is_what_the_chain_says:
            self.verdict.wrongs.append("money: the events do not add up to the contract")
        if owed:
            self.verdict.wrongs.append(f"money: {owed} could not be withdrawn")

    # Wishes

    def _wishes(self) -> Iterator[str]:
        seen: Counter[tuple[str, int]] = Counter()
        for event in self.events:
            match event:
                case e.Withdrawn():
                    seen["withdraw", event.amount] += 1
                case e.Deposited():
                    seen["deposit", event.amount] += 1
                case e.Authorized():
                    seen["authorize", event.budget] += 1
        for wish in self.stage.wishes():
            yield from self._wish(wish, seen[wish.verb, wish.amount])

    def _is_known_to_be_lost(self, wish: Wish) -> bool:
        """Whether its block left the chain and another transaction of the key took its nonce there, and its own outbox says so."""
        party = self.stage.parties[wish.client]
        assert isinstance(party, ClientParty)
        outbox = OutboxFile(self.world.folder / party.name / "outbox.sqlite")
        rows = [one for one in outbox.from_nonce(party.key.address, 0) if one.verb == wish.verb]
        outbox.close()
        ours = [one for one in rows if f"{wish.amount:064x}" in one.raw]
        return bool(ours) and all(one.why.startswith("its nonce was used by") for one in ours)

    def _wish(self, wish: Wish, times: int) -> Iterator[str]:
        what = f"wish: {wish.client} {wish.verb} {wish.amount}"
        if times > 1:
            self.verdict.doubled += 1
            yield f"{what} was done {times} times"
        elif times == 0 and wish.done_in is not None and not self._is_known_to_be_lost(wish):
            yield f"{what} was told to be done in block {wish.done_in}, and is not"
        elif times == 1 and wish.refused:
            yield f"{what} was done although it was refused: {wish.refused}"
        elif times == 0 and wish.is_open:
            yield f"{what} was never done, and nobody said why"

    def _offers(self) -> Iterator[str]:
        listed = Counter(event.offer.provider for event in self.events if isinstance(event, e.OfferListed))
        for key in PROVIDERS:
            if listed[key.address] != 1:
                self.verdict.doubled += listed[key.address] > 1
                yield f"offers: {key.address} listed {listed[key.address]} times"
        for offer in self.rows.offers.values():
            if offer.free != offer.gpus:
                yield f"offers: {offer.free} of {offer.gpus} GPUs of offer {offer.id} are free"

    # Views

    def _projection(self) -> Iterator[str]:
        indexer = self.stage.parties["indexer"]
        assert isinstance(indexer, IndexerParty)
        board = Board(self.world.redis.url)
        try:
            head = board.projection.head()
            if head is None or not head.is_ready or head.cursor is None:
                yield "projection: it is not ready"
                return
            upto = self.world.chain.confirmed(self.stage.confirmations)
            if head.cursor != upto:
                yield f"projection: it stands at {head.cursor}, not at {upto}"
            for difference in reconcile(board.projection, self.market):
                yield f"projection: {difference}"
            for difference in reconcile_reputations(board.projection, self.follower, self.market.terms()):
                yield f"projection: {difference}"
            rows = board.projection.all_rows()
            confirmed = [event for event in self.events if event.ref.block.number <= upto.number]
            want = replay(confirmed, self.market.terms().bond_floor)
            for name in ("accounts", "offers", "leases", "budgets"):
                if set(getattr(rows, name)) != set(getattr(want, name)):
                    yield f"projection: its {name} are not those of the events"
        finally:
            board.close()

    def _servings(self, agent: AgentParty) -> Iterator[str]:
        def look() -> list[str]:
            found = []
            servings = agent.journal.servings(*ServingState)
            own = {id_ for id_, offer in self.rows.offers.items() if offer.provider == agent.key.address}
            opened = {
                (event.lease, event.ref.block.timestamp)
                for event in self.events
                if isinstance(event, e.LeaseOpened) and event.offer in own
            }
            known = {(serving.lease, serving.opened_at) for serving in servings}
            found += [
                f"servings: {agent.name} never saw the lease {lease} opened at {at}" for lease, at in opened - known
            ]
            found += [
                f"servings: {agent.name} has {serving.lease} still {serving.state}"
                for serving in servings
                if serving.state is not ServingState.CLOSED
            ]
            return found

        yield from agent.run(look) or ()

    def _jobs(self, client: ClientParty) -> Iterator[str]:
        yield from client.run(lambda: list(self._looked_at_jobs(client))) or ()

    def _looked_at_jobs(self, client: ClientParty) -> Iterator[str]:
        moves_of = self._moves()
        for job in client.market.jobs():
            if not job.is_terminal:
                yield f"jobs: {client.name}'s {job.name} is still {job.state}"
                continue
            at = [event.at for event in job.history]
            if at != sorted(at):
                yield f"jobs: the history of {client.name}'s {job.name} runs backwards: {at}"
            for order in client.market.book.orders(job.id):
                kept = [(move.block_hash, move.log_index) for move in client.market.book.moves(order.signed.id)]
                real = moves_of.get(order.signed.id, [])
                if sorted(kept) != sorted(real):
                    yield f"jobs: {client.name}'s {job.name} has {len(kept)} moves in its book, the chain {len(real)}"
            yield from self._end_of(client, job)

    def _end_of(self, client: ClientParty, job) -> Iterator[str]:  # type: ignore[no-untyped-def]
        record = self.rows.leases.get(job.kept.job.order)
        status = record.lease.status if record else LeaseStatus.NONE
        ending = record.exit if record and status is LeaseStatus.CLOSED else ""
        if status.is_live:
            yield f"jobs: {client.name}'s {job.name} is {job.state}, its lease {status.name}"
        if ending not in ENDS[job.state] and not self._is_excused(job, ending):
            yield f"jobs: {client.name}'s {job.name} is {job.state}, its lease ended by {ending or 'nothing'}"
        for order in client.market.book.orders(job.id):
            yield from self._paid(client, job, order.signed.id)

    def _is_excused(self, job, ending: str) -> bool:  # type: ignore[no-untyped-def]
        """A job whose result was verified stays what it is, although its provider was away when its pay was due, or its client called it off
        before, in a block that left the chain and came back later."""
        if job.state not in (JobState.SUCCEEDED, JobState.FAILED):
            return False
        was_late = bool(self.world.history.kinds.keys() & {"silent", "clock jump", "fee spike"})
        was_cancelled = any(job.orders[0] in person.cancelled for person in self.stage.people)
        return (was_late and ending == "LeaseExpired") or (was_cancelled and ending == "LeaseTerminated")

    def _paid(self, client: ClientParty, job, order: Bytes32) -> Iterator[str]:  # type: ignore[no-untyped-def]
        record: LeaseRecord | None = self.rows.leases.get(order)
        moves = tuple(client.market.book.moves(order))
        if record is None or record.order is None:
            return
        sums = sums_of(record.order, moves)
        if (sums.paid, sums.locked) != (record.paid, 0) or (exit_of(moves) is None) != (
            record.lease.status is not LeaseStatus.CLOSED
        ):
            yield f"jobs: {client.name}'s {job.name} says paid {sums.paid}, locked {sums.locked}; the chain {record.paid}, {record.lease.status.name}"

    def _moves(self) -> dict[Bytes32, list[tuple[Bytes32, int]]]:
        found: dict[Bytes32, list[tuple[Bytes32, int]]] = {}
        upto = self.world.chain.confirmed(self.stage.confirmations).number
        for event in self.events:
            lease = event.order if isinstance(event, e.FillRefused) else getattr(event, "lease", None)
            if lease is not None and event.ref.block.number <= upto:
                found.setdefault(lease, []).append((event.ref.block.hash, event.ref.log_index))
        return found

    def _crashes(self) -> Iterator[str]:
        for party in self.stage.everybody():
            yield from (f"crash: {line}" for line in dict.fromkeys(party.crashes))
            waiting = party.run(partial(_unmined, party))
            if waiting:
                yield f"outbox: {party.name} still has {', '.join(waiting)}"


def _unmined(party: Party) -> list[str]:
    waiting = party.sender.pending() if party.sender else ()
    return [one.verb for one in waiting if one.state is SendingState.UNMINED]
