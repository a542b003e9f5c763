"""What an operator wants of an agent while it runs, and what the agent tells of itself: both in the agent's own journal.

Whoever may write into the home folder may say it; no port is open for it. A command writes a wish and ends, or waits until the
agent's report names the wish's number. Wishes outlive the agent: one that is paused and started again stays paused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, insert, select, update

from marketplace.domain.ids import OfferId
from marketplace.domain.units import PricePerGpuHour, UnixTime
from marketplace.store.journal.engine import Database
from marketplace.store.journal.schema import WISHES

_WISHES, _REPORT = "wishes", "report"


class AgentStanding(StrEnum):
    """Whether an agent takes new leases."""

    OPEN = "open"
    PAUSED = "paused"
    """None: its offers are withdrawn. What is open already is served."""
    DRAINING = "draining"
    """None, and when all that is open has ended, the agent ends as well; it is paused from then on."""


@dataclass(frozen=True, slots=True)
class AskedPrice:
    """A price that was asked for by a command; it holds as long as the inventory file declares the price that it replaced."""

    price: PricePerGpuHour
    instead_of: PricePerGpuHour


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything that is wanted."""

    number: int = 0
    """Grows with every wish."""
    standing: AgentStanding = AgentStanding.OPEN
    prices: Mapping[OfferId, AskedPrice] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """What the agent last told of itself. It is true of the moment it was written; whether an agent lives, its lock says."""

    pid: int
    heeded: int
    """The number of the newest wish that it has acted on: what that asks for is on the chain."""
    standing: AgentStanding
    is_leaving: bool
    block_number: int
    block_time: UnixTime
    inventory: str
    """The file's path; empty where the inventory is not one of a file."""
    inventory_problem: str
    """Why the file's newest content is not in force; empty where it is."""
    declared: Mapping[OfferId, PricePerGpuHour] = field(default_factory=dict)
    """What the inventory declares for each standing offer."""
    trouble: str = ""
    """Why it has nothing on offer although it is open, for people; empty where there is no such reason."""
    account: str = ""
    """The address of its key."""


class WishTable:
    """Both rows. Processes may share it: a wish is read, changed and written in one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def wishes(self) -> Wishes:
        """Raises StoreUnavailable."""
        with self._database.read() as connection:
            return _wishes(_content(connection, _WISHES))

    def stand(self, standing: AgentStanding) -> Wishes:
        """Want this standing from now on."""
        return self._changed(lambda wishes: replace(wishes, standing=standing))

    def ask(self, offer: OfferId, price: AskedPrice | None) -> Wishes:
        """Want this price for an offer; None: the inventory's again."""
        kept = {offer: price} if price else {}
        return self._changed(
            lambda wishes: replace(
                wishes, prices={one: asked for one, asked in wishes.prices.items() if one != offer} | kept
            )
        )

    def report(self) -> AgentReport | None:
        """What the last agent told last; None where there was none."""
        with self._database.read() as connection:
            found = _content(connection, _REPORT)
        return None if found is None else _report(found)

    def save_report(self, report: AgentReport) -> None:
        names = (name for name in AgentReport.__slots__ if name != "declared")
        content = {name: getattr(report, name) for name in names}
        content["declared"] = {str(offer): str(price) for offer, price in report.declared.items()}
        with self._database.write() as connection:
            _save(connection, _REPORT, content)

    def _changed(self, change: Callable[[Wishes], Wishes]) -> Wishes:
        with self._database.write() as connection:
            before = _wishes(_content(connection, _WISHES))
            after = replace(change(before), number=before.number + 1)
            prices = {str(offer): [str(one.price), str(one.instead_of)] for offer, one in after.prices.items()}
            content = {"number": after.number, "standing": str(after.standing), "prices": prices}
            _save(connection, _WISHES, content)
        return after


def _content(connection: Connection, name: str) -> dict[str, Any] | None:
    row = connection.execute(select(WISHES.c.content).where(WISHES.c.name == name)).first()
    return None if row is None else dict(row.content)


def _save(connection: Connection, name: str, content: Mapping[str, Any]) -> None:
    changed = update(WISHES).where(WISHES.c.name == name).values(content=content)
    if connection.execute(changed).rowcount == 0:
        connection.execute(insert(WISHES).values(name=name, content=content))


def _wishes(content: Mapping[str, Any] | None) -> Wishes:
    if content is None:
        return Wishes()
    prices = {
        OfferId(int(offer)): AskedPrice(PricePerGpuHour(int(price)), PricePerGpuHour(int(instead_of)))
        for offer, (price, instead_of) in content["prices"].items()
    }
    return Wishes(content["number"], AgentStanding(content["standing"]), prices)


def _report(content: Mapping[str, Any]) -> AgentReport:
    declared = {OfferId(int(offer)): PricePerGpuHour(int(price)) for offer, price in content["declared"].items()}
    return AgentReport(**{**content, "standing": AgentStanding(content["standing"]), "declared": declared})
