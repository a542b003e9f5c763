"""Which companies their owners made themselves, out of what factory and companies log: reputations follow that (S-7).

Anybody may make a company in anybody's name, and the factory does not say who did. The company itself does, in the log right after the factory's:
who named its first operator. Only where that was the owner is it the owner's word. One that somebody else made stays a stranger to its owner for
good, also where the owner takes it over: what its first operator had opened by then could still fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from marketplace.chain.contracts import contract_abi
from marketplace.domain.blocks import BlockRef
from marketplace.domain.chain_errors import ChainUnavailable
from marketplace.domain.events import LogRef, SpvCreated
from marketplace.domain.ids import Address, Bytes32
from marketplace.domain.units import UnixTime

Log = Mapping[str, Any]

_ADDRESS_AT = 26
"""In a topic: after 0x and the padding."""
_CREATION_TOPICS = 3
"""What is said, of which company, and whose it is."""


@lru_cache(maxsize=1)
def operator_topic() -> str:
    """Of the log in which a company says who acts for it, and who said so."""
    return "0x" + contract_abi("ProviderSpv").events["OperatorSet"].hash.hex()


@lru_cache(maxsize=1)
def _created_topic() -> str:
    return "0x" + contract_abi("SpvFactory").events["SpvCreated"].hash.hex()


def with_first_words(logs: Sequence[Log], sources: Sequence[Address], factory: Address | None) -> list[Log]:
    """Of all logs of a block those of these contracts, and of each new company of the factory its first."""
    first = {_place(log, 1): company_in(log) for log in logs if is_creation(log, factory)}
    return [
        log for log in logs if log["address"].lower() in sources or first.get(_place(log)) == log["address"].lower()
    ]


def is_creation(log: Log, factory: Address | None) -> bool:
    """Whether this factory says here that it made a company."""
    return factory is not None and log["address"].lower() == factory and log["topics"][0] == _created_topic()


def company_in(log: Log) -> Address:
    """The company that a factory's log is about. Raises ChainUnavailable where the node does not say all of it."""
    if len(log["topics"]) != _CREATION_TOPICS:
        raise ChainUnavailable("a log of the companies' factory is not whole")
    return _address_in(log, 1)


def decode_creations(
    logs: Sequence[Log], factory: Address | None, time_of: Callable[[int], UnixTime]
) -> Iterator[SpvCreated]:
    """The companies that their owners made. Raises ValueError for one whose first log is missing."""
    by_place = {_place(log): log for log in logs}
    for log in logs:
        if not is_creation(log, factory):
            continue
        company, owner, said = company_in(log), _address_in(log, 2), by_place.get(_place(log, 1))
        if said is None or said["address"].lower() != company or said["topics"][0] != operator_topic():
            raise ValueError(f"the first log of company {company} is missing")
        if _address_in(said, 2) == owner:
            number = int(log["blockNumber"], 16)
            block = BlockRef(number, Bytes32(log["blockHash"]), time_of(number))
            yield SpvCreated(LogRef(block, Bytes32(log["transactionHash"]), int(log["logIndex"], 16)), company, owner)


def _place(log: Log, after: int = 0) -> tuple[str, int]:
    return log["blockHash"], int(log["logIndex"], 16) + after


def _address_in(log: Log, topic: int) -> Address:
    return Address("0x" + log["topics"][topic][_ADDRESS_AT:])
