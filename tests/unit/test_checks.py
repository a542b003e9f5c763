"""What a process says of itself: by name, since when, for one duty or all; and when a chain counts as standing still."""

from __future__ import annotations

import pytest

from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import InvalidField, StoreUnavailable
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime
from marketplace.services.checks import Checks, reasons_of
from marketplace.services.readiness import HEAD_AGE_LIMIT_SECONDS, HEAD_AGE_MOST_SECONDS, HeadWatch


class World:
    """What is wrong in it, and its clocks."""

    def __init__(self) -> None:
        self.wrong: str | None = None
        self.wall = 1_000_000.0
        self.ran = 0.0
        self.asked = 0
        self.head: BlockRef | None = None

    def look(self) -> str | None:
        self.asked += 1
        return self.wrong

    def unreachable(self) -> str | None:
        raise StoreUnavailable("board")

    def watch(self) -> HeadWatch:
        return HeadWatch(lambda: self.head, lambda: self.wall, elapsed=lambda: self.ran)

    def pass_time(self, seconds: float) -> None:
        self.wall, self.ran = self.wall + seconds, self.ran + seconds

    def mine(self, number: int, *, clock_is_ahead: int = 0) -> None:
        self.head = BlockRef(number, Bytes32(f"0x{number:064x}"), UnixTime(int(self.wall) - clock_is_ahead))


def test_a_check_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment changes with the verdict, not with the words."""
    world = World()
    checks = Checks({"it": world.look}, {}, clock=lambda: world.wall, fresh_seconds=-1)
    seen = []
    for wrong in (None, None, "bad", "worse", None):
        world.wrong = wrong
        (finding,) = checks.ask()
        seen.append((finding.reason, finding.since - 1_000_000))
        world.pass_time(10)

    assert seen == [(None, 0), (None, 0), ("bad", 20), ("worse", 20), (None, 40)]


def test_many_probes_ask_once() -> None:
    """An answer is given again for a moment."""
    world = World()
    checks = Checks({"it": world.look}, {"duty": ["it"]}, clock=lambda: world.wall, fresh_seconds=1_000)
    for _ in range(10):
        checks.ask()
        checks.ask("duty")

    assert world.asked == 1


def test_a_duty_needs_some_checks_only() -> None:
    """A store that is away is a reason for who needs it; a duty that nobody has is refused, with those that there are."""
    world = World()
    checks = Checks(
        {"chain": world.look, "redis": world.unreachable}, {"orders": ["chain"], "book": ["redis"]}, clock=lambda: 0.0
    )

    assert reasons_of(checks.ask("orders")) == {}
    assert reasons_of(checks.ask("book")) == reasons_of(checks.ask()) == {"redis": "the board does not answer"}
    with pytest.raises(InvalidField, match="book, orders"):
        checks.ask("nothing")


def test_a_chain_that_stands_still_is_noticed() -> None:
    """After a minute without a block."""
    world = World()
    watch = world.watch()
    assert watch.check() == "no block has been read yet"
    world.mine(7)
    assert watch.check() is None
    world.pass_time(HEAD_AGE_LIMIT_SECONDS)
    assert watch.check() is None
    world.pass_time(1)

    assert watch.check() == "the newest block is 61 s old; 60 s is the limit"


def test_who_is_in_the_middle_of_a_step_has_its_last_block() -> None:
    """A daemon that knows no newest block while it looks at one is not without a chain; the last one ages on."""
    world = World()
    watch = world.watch()
    world.mine(7)
    watch.check()
    world.head = None
    assert watch.check() is None
    world.pass_time(HEAD_AGE_LIMIT_SECONDS + 1)

    assert "61 s old" in str(watch.check())


def test_a_first_head_is_as_old_as_it_says() -> None:
    """Who has just started has nothing else to go by; a head from the future is a new one."""
    old, future = World(), World()
    old.mine(7)
    old.wall += 3_600
    future.mine(7, clock_is_ahead=-3_600)

    assert "3600 s old" in str(old.watch().check())
    assert future.watch().check() is None


@pytest.mark.parametrize("error", [3_600, -3_600])
def test_a_wrong_clock_does_not_stop_the_chain(error: int) -> None:
    """This machine's clock is an hour off: while blocks come all is well, and a chain that stands still is noticed all the same."""
    world = World()
    watch = world.watch()
    for number in range(1, 10):
        world.mine(number, clock_is_ahead=error)
        world.pass_time(2)
        watch.check()
    assert watch.check() is None
    world.pass_time(HEAD_AGE_LIMIT_SECONDS + 3)

    assert "limit" in str(watch.check())


@pytest.mark.parametrize("looks_before", [1, 2])
def test_a_chain_whose_clock_lags_moves_while_nobody_asks(looks_before: int) -> None:
    """Its clock is 74 s late, and the next probe comes after two minutes: its blocks tell that it went on; one that stopped in between is noticed."""
    moving, stopped = World(), World()
    for world, last_block_after in ((moving, 120), (stopped, 10)):
        watch = world.watch()
        for number in range(1, looks_before + 1):
            world.mine(number, clock_is_ahead=74)
            watch.check()
            world.pass_time(1)
        world.pass_time(last_block_after)
        world.mine(100, clock_is_ahead=74)
        world.pass_time(120 - last_block_after)

        assert (watch.check() is None) == (world is moving)


def test_a_slow_chain_is_measured_by_its_own_pace() -> None:
    """Ten of its blocks; but a quarter of an hour is too long for any."""
    world = World()
    watch = world.watch()
    for number in range(1, 6):
        world.mine(number)
        watch.check()
        world.pass_time(12)
    world.pass_time(100)
    assert watch.check() is None
    world.pass_time(10)
    assert "120 s is the limit" in str(watch.check())

    for number in range(6, 10):
        world.mine(number)
        watch.check()
        world.pass_time(600)
    world.pass_time(HEAD_AGE_MOST_SECONDS - 600 + 1)
    assert f"{HEAD_AGE_MOST_SECONDS} s is the limit" in str(watch.check())
