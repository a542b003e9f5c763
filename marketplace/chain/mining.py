"""What the chain says became of a transaction, believed only where it can be held against something.

A receipt that is missing proves nothing: a node behind a load balancer may lag, or have lost it. That a transaction can never be
mined is believed only where another one is shown that used its nonce.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marketplace.chain.blocks import Chain
from marketplace.chain.events import decode_logs
from marketplace.chain.reverts import NO_REASON, OUT_OF_GAS
from marketplace.chain.signing import read_transaction
from marketplace.chain.transaction_signer import signer_of
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainError, ChainUnavailable, NodeRefused, TransactionReverted
from marketplace.domain.events import Event
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.transactions import Outgoing

_TELLING: Final = frozenset(
    {
        "deposit",
        "depositWithPermit",
        "depositWithAuthorization",
        "withdraw",
        "authorize",
        "list",
        "reprice",
        "open",
        "cancel",
        "settle",
        "claim",
        "finalize",
        "terminate",
        "decline",
        "expire",
        "dispute",
        "rule",
        "lapse",
        "assign",
    }
)
"""The market's verbs: each that succeeds says so in an event, a batch for each of its items."""

_SEARCH_BACK_BLOCKS = 128
"""How far before its signing the block may be searched in which a nonce was used; nodes keep that many states."""


@dataclass(frozen=True, slots=True)
class Mined:
    """A transaction that did what it should, where, and what the called contract said about it."""

    tx_hash: Bytes32
    block: BlockRef
    gas_used: int
    events: tuple[Event, ...]
    contract: Address | None = None
    """The contract that it created."""
    is_earlier: bool = False
    """It had been sent before, by a call whose end nobody saw; nothing was sent this time."""


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction of ours that is in a block."""

    outgoing: Outgoing
    block: BlockRef
    receipt: Any

    @property
    def has_succeeded(self) -> bool:
        return int(self.receipt["status"], 16) == 1

    @property
    def gas_used(self) -> int:
        return int(self.receipt["gasUsed"], 16)

    def _told(self, called: Address) -> tuple[Event, ...]:
        """What the called contract said about it; where that is a company, which says nothing of a market's, whom it called on."""
        logs = self.receipt["logs"]
        others = dict.fromkeys(Address(log["address"].lower()) for log in logs)
        tellers = (called, *(other for other in others if other != called))
        told = (decode_logs(logs, teller, lambda _: self.block.timestamp) for teller in tellers)
        return next((events for events in told if events), ())

    def mined(self, *, is_earlier: bool) -> Mined:
        """What it did. Raises ChainUnavailable where the receipt is not whole."""
        receipt = self.receipt
        try:
            to, created = receipt.get("to"), receipt.get("contractAddress")
            events = self._told(Address(to.lower())) if to else ()
            if not events and self.outgoing.verb in _TELLING and not _is_empty_batch(self.outgoing):
                raise ChainUnavailable("the node answers a receipt without what the market said")
            return Mined(
                tx_hash=self.outgoing.tx_hash,
                block=self.block,
                gas_used=self.gas_used,
                events=events,
                contract=Address(created.lower()) if created else None,
                is_earlier=is_earlier,
            )
        except (AttributeError, LookupError, TypeError, ValueError) as exc:
            raise ChainUnavailable(f"the node's receipt makes no sense: {exc!r}") from exc


def find_included(chain: Chain, rivals: Sequence[Outgoing]) -> Included | None:
    """Which of these transactions of one nonce is in a block; None while the node shows none. Raises ChainUnavailable."""
    return find_each(chain, [rivals])[0]


def find_each(chain: Chain, nonces: Sequence[Sequence[Outgoing]]) -> list[Included | None]:
    """``find_included`` for several nonces at once, in one batch, and one more for their blocks."""
    asked = [one for rivals in nonces for one in rivals]
    answers = all_of(chain.batch([("eth_getTransactionReceipt", [one.tx_hash]) for one in asked])) if asked else ()
    receipts = {one.tx_hash: _checked(one, said) for one, said in zip(asked, answers, strict=True) if said is not None}
    names = list(dict.fromkeys(receipt["blockHash"] for receipt in receipts.values()))
    headers = all_of(chain.batch([("eth_getBlockByHash", [name, False]) for name in names])) if names else ()
    blocks = {name: _block(chain, name, header, receipts.values()) for name, header in zip(names, headers, strict=True)}
    return [
        next((Included(one, blocks[receipts[one.tx_hash]["blockHash"]], receipts[one.tx_hash])
              for one in rivals if one.tx_hash in receipts), None)
        for rivals in nonces
    ]  # fmt: skip


def all_of(answers: Sequence[Any]) -> Sequence[Any]:
    """The answers of a batch of reads, all of them. Raises ChainUnavailable where one is none: a node's no to a question says
    nothing about what the question is about."""
    for answer in answers:
        if isinstance(answer, ChainError):
            raise answer if isinstance(answer, ChainUnavailable) else ChainUnavailable(str(answer)) from answer
    return answers


def _checked(outgoing: Outgoing, receipt: Any) -> Any:
    try:
        is_ours = receipt["transactionHash"] == outgoing.tx_hash and receipt["status"] in ("0x0", "0x1")
        int(receipt["gasUsed"], 16)
        is_placed = isinstance(receipt["blockHash"], str) and isinstance(receipt["blockNumber"], str)
        # What reverted said nothing, and what was said was said by it.
        is_whole = not (receipt["status"] == "0x0" and receipt["logs"]) and all(
            (log["transactionHash"], log["blockHash"]) == (outgoing.tx_hash, receipt["blockHash"])
            for log in receipt["logs"]
        )
    except (LookupError, TypeError, ValueError) as exc:
        raise ChainUnavailable(f"the node's receipt makes no sense: {exc!r}") from exc
    if not (is_ours and is_placed and is_whole):
        raise ChainUnavailable("the node answers with another receipt than was asked for")
    return receipt


def _block(chain: Chain, name: str, header: Any, receipts: Iterable[Any]) -> BlockRef:
    """The block of these receipts, which holds their transactions and has the number that they say."""
    block = chain.header_in(header, "of a receipt").ref
    if block.hash != name:
        raise ChainUnavailable("the node answers with another block than was asked for")
    held = header.get("transactions")
    for receipt in receipts:
        if receipt["blockHash"] == name and (
            not isinstance(held, list)
            or receipt["transactionHash"] not in held
            or receipt["blockNumber"] != header["number"]
        ):
            raise ChainUnavailable(f"the node's block {block.number} does not hold what its receipt says")
    return block


def _is_empty_batch(outgoing: Outgoing) -> bool:
    """A batch without an item, which has nothing to tell: its selector, where the list is, that it is empty, and a round at most."""
    length = (len(read_transaction(outgoing.raw).input) - 2) // 2
    return outgoing.verb in ("open", "settle", "finalize") and length <= 4 + 3 * 32


def why_reverted(chain: Chain, included: Included) -> TransactionReverted:
    """Why a mined transaction reverted: receipts do not say it, running it again after its block does."""
    sent = read_transaction(included.outgoing.raw)
    if included.gas_used == sent.gas:
        return TransactionReverted(OUT_OF_GAS)
    message = {"from": included.outgoing.account, "to": sent.to, "data": sent.input, "gas": hex(sent.gas)}
    try:
        chain.rpc("eth_call", message, hex(included.block.number))
    except TransactionReverted as exc:
        return exc
    except (ChainUnavailable, NodeRefused):
        pass  # It did revert, whether or not the node can still tell why.
    return TransactionReverted(NO_REASON)


def has_left(chain: Chain, one: Outgoing) -> bool | None:
    """Whether another block stands where it was mined, or the one that stands there does not hold it; None where the node does not tell.

    A node that does not know the height lags: what it does not count proves nothing."""
    assert one.block_number is not None, "it is mined"
    try:
        block = chain.rpc("eth_getBlockByNumber", hex(one.block_number), False)
        if block is None:
            return None
        return bool(block["hash"] != one.block_hash or one.tx_hash not in (block.get("transactions") or ()))
    except (AttributeError, ChainUnavailable, LookupError, NodeRefused, TypeError):
        return None


def has_passed(chain: Chain, account: Address, nonce: int, number: int) -> bool:
    """Whether the account's count had passed the nonce in that block; False where the node cannot say. Raises ChainUnavailable."""
    try:
        return number >= 0 and _count_at(chain, account, number) > nonce
    except (NodeRefused, TypeError, ValueError):
        return False


def user_of_nonce(chain: Chain, account: Address, nonce: int, *, since: int, upto: int) -> Bytes32 | None:
    """The hash of the transaction that used the account's nonce, shown by its block; None where the node cannot show that block.

    Looks in the blocks from a little before ``since`` to ``upto``, in which the count has passed the nonce. Raises ChainUnavailable, also
    where the block is shown and holds no such transaction: then the node contradicts itself.
    """
    try:
        number = _block_of_use(chain, account, nonce, since, upto)
        block = None if number is None else chain.rpc("eth_getBlockByNumber", hex(number), True)
        shown = block["transactions"] if block else None
        for sent in shown or ():
            # A name and a nonce are quickly made up; a signature of our key is not.
            if sent["from"].lower() == account and int(sent["nonce"], 16) == nonce and signer_of(sent) == account:
                return Bytes32(sent["hash"])
    except (AttributeError, LookupError, NodeRefused, TypeError, ValueError):
        return None  # Without the state or the block of then there is no evidence.
    if shown is not None:
        raise ChainUnavailable(f"the node counts a transaction of {account} in block {number}, which holds none")
    return None


def _block_of_use(chain: Chain, account: Address, nonce: int, since: int, upto: int) -> int | None:
    """The block in which the account's count passed the nonce, by halving."""
    before, after = max(0, min(since, upto) - 1), upto
    if _count_at(chain, account, before) > nonce:
        # A reorganisation may have put it into a block before the one that we signed at.
        after, before = before, max(0, before - _SEARCH_BACK_BLOCKS)
        if _count_at(chain, account, before) > nonce:
            return None
    while after - before > 1:
        middle = (before + after) // 2
        is_passed = _count_at(chain, account, middle) > nonce
        before, after = (before, middle) if is_passed else (middle, after)
    return after


def _count_at(chain: Chain, account: Address, number: int) -> int:
    return int(chain.rpc("eth_getTransactionCount", account, hex(number)), 16)
