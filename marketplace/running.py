"""What surrounds a daemon's loop: its lead, its watchdog, its health port, and what it tells of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from time import monotonic

from marketplace.chain.blocks import Chain
from marketplace.chain.transactions import Sender
from marketplace.daemon import Stop, run_forever
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import Stopping
from marketplace.domain.ids import Address
from marketplace.health import Health, served
from marketplace.services.checks import Check, Checks
from marketplace.services.leadership import Led, Permit
from marketplace.watchdog import Pulse

PROBED_SECONDS = 2.0
"""A probe's answer is given again for so long: it costs a write to the journal, and at times a call of the node."""
FOREIGN_SECONDS = 600.0
"""How long a transaction of ours that nobody here sent is remembered."""


@dataclass(slots=True)
class Daemon:
    """One daemon of a process. ``facts`` must not raise: they are what the log says at the start and at the end."""

    name: str
    led: Led
    stop: Stop
    facts: Callable[[], Mapping[str, object]]
    checks: Mapping[str, Check]
    duties: Mapping[str, Iterable[str]]
    """Which checks each needs; ``loop`` is added to all of them, and the duty ``lead``."""
    pulse: Pulse = field(default_factory=Pulse)
    wait: Callable[[float], object] | None = None
    lead_kept: AbstractContextManager[object] = field(default_factory=nullcontext)

    def run(self, health_port: int | None) -> None:
        """Until it is asked to end; then whoever stands by may lead at once."""
        checks = {"loop": self.pulse.check, **self.checks, "lead": self.led.check}
        duties = {duty: ("loop", *names) for duty, names in self.duties.items()} | {"lead": ("loop", "lead")}
        # A standby is ready, too: only who asks for the leader hears that it is none.
        told = Checks(checks, duties, clock=time.time, fresh_seconds=PROBED_SECONDS, aside={"lead"})  # noqa: TID251  since when, for people
        port: list[int | None] = [health_port]

        def about() -> Mapping[str, object]:
            return {"role": self.led.role, **self.facts(), "health_port": port[0]}

        with served(health_port, Health(self.pulse, told, about)) as port[0], self.lead_kept:
            run_forever(self.led.step, self.name, self.stop, wait=self.wait, pulse=self.pulse, about=about)


def permit_until(stop: Stop, pulse: Pulse, permit: Permit) -> Permit:
    """Asked before each transaction: a step that sends many shows that it gets on, and ends between two of them when it should."""

    def asked() -> None:
        pulse.beat()
        if stop.is_set():
            raise Stopping
        permit()

    return asked


def head_seen(led: Led, chain: Chain) -> Callable[[], BlockRef | None]:
    """The newest block that the daemon has worked at; who stands by asks the node."""
    return lambda: led.service.head if led.service else chain.paced_head()


def transactions_move(sender: Callable[[], Sender | None], head: Callable[[], BlockRef | None]) -> Check:
    """Whether what we have sent gets into blocks."""

    def check() -> str | None:
        ours, newest = sender(), head()
        since = ours.stuck_since(newest) if ours and newest else None
        return None if since is None else f"a transaction has been waiting since block {since}"

    return check


def key_is_ours_alone(sender: Callable[[], Sender | None]) -> Check:
    """Whether the chain has shown no transactions of our key lately that we did not send: a second daemon has the key, with a journal of its own."""
    seen, at = 0, float("-inf")

    def check() -> str | None:
        nonlocal seen, at
        ours = sender()
        count = ours.foreign if ours else 0
        if count != seen:
            seen, at = count, monotonic()
        if count and monotonic() - at < FOREIGN_SECONDS:
            return (
                f"{count} transactions of this key were not sent from here: somebody else uses it, with another journal"
            )
        return None

    return check


def facts_of(
    led: Led, account: Address | None, market: Address, chain_id: int, **more: object
) -> Callable[[], Mapping[str, object]]:
    """What a line about a daemon says; the block is the newest that it has worked at."""

    def facts() -> Mapping[str, object]:
        head = led.service.head if led.service else None
        place = {"block": head.number if head else None, "account": account, "market": market, "chain": chain_id}
        repairs = {name: count for name, count in asdict(led.service.repairs).items() if count} if led.service else {}
        return place | more | ({"repairs": repairs} if repairs else {})

    return facts
