"""When the next block is due, and which head may follow another: decided from what was seen, without a node."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from marketplace.chain.block_pace import Pace
from marketplace.chain.headers import Header
from marketplace.chain.heads import LAG_SECONDS, Ancestry
from marketplace.domain.blocks import BlockRef
from marketplace.domain.ids import Bytes32
from marketplace.domain.units import UnixTime


def watched(
    pace: Pace, births: list[float], until: float, start: float = 0.0, trip: float = 0.002, stamped: float = 0.0
) -> Iterator[float]:
    """Look whenever the pace says so, at a chain whose blocks are born at these times; yields the moments of the looks.

    Their timestamps are the whole seconds of their birth, or so far apart as ``stamped`` says.
    """
    now = start
    while now < until:
        born = [birth for birth in births if birth <= now]
        stamp = len(born) * stamped if stamped else max(born, default=0)
        pace.saw(len(born), int(stamp), now, now + trip)
        yield now
        now = max(now + trip, pace.next_look())


def lateness(looks: list[float], births: list[float]) -> list[float]:
    return [min(look for look in looks if look >= birth) - birth for birth in births]


@pytest.mark.parametrize("interval", [1.0, 2.0, 12.0])
@pytest.mark.parametrize("seed", range(5))
def test_regular_blocks_cost_little_more_than_a_look_each(interval: float, seed: int) -> None:
    """At most 1.5 looks a block, and a block is seen within an eighth of an interval, whatever the phase."""
    dice = random.Random(seed)
    births = [(number + 0.5 + dice.uniform(-0.01, 0.01)) * interval for number in range(200)]
    pace = Pace()
    learned = 20 * interval
    watching = watched(pace, births, 190 * interval, dice.random() * interval, stamped=interval)
    looks = [look for look in watching if look > learned]

    assert pace.interval == pytest.approx(interval, rel=0.1)
    assert len(looks) <= 1.5 * 170
    late = lateness(looks, [birth for birth in births if learned < birth < 189 * interval])
    assert max(late) <= interval / 4
    assert sum(late) / len(late) <= interval / 8


def test_blocks_on_demand_are_looked_for_all_the_time() -> None:
    """A chain that makes blocks when it is asked to has no pace: a look every quarter of a second at least, however long the last gap was."""
    dice, now, births = random.Random(7), 0.0, []
    for _ in range(60):
        now += dice.choice((0.02, 0.1, 0.5, 3.0))
        births.append(now)
    pace = Pace()
    looks = list(watched(pace, births, now))

    assert max(after - before for before, after in itertools.pairwise(looks)) <= 0.26
    assert not pace.is_trusted
    assert not pace.is_quiet(now)


def test_a_block_that_is_late_is_looked_for_more_and_more_slowly() -> None:
    """When the chain stops, a look every quarter of an interval, and every three seconds at most, is enough."""
    births = [2.0 * number for number in range(10)]
    pace = Pace()
    looks = [look for look in watched(pace, births, 60) if look > 30]

    assert len(looks) == pytest.approx(30 / 0.5, abs=2)


def test_slots_that_are_missed_do_not_end_a_rhythm() -> None:
    """A proof-of-stake chain leaves some out: twice the usual gap is no surprise, half of it is."""
    births = [12.0 * number for number in range(40) if number not in (15, 22, 23, 31)]
    pace = Pace()
    list(watched(pace, births, 450))
    assert pace.interval == pytest.approx(12, rel=0.1)

    list(watched(pace, [*births, 470.0, 474.0, 475.0], 482.0, 468.5))
    assert pace.interval is None


def test_no_block_is_missed_while_none_is_expected() -> None:
    """Whenever the pace says that no newer block can be there, there is none: also when nobody has looked for a while."""
    dice = random.Random(3)
    births = [(number + dice.uniform(-0.02, 0.02)) * 2.0 for number in range(400)]
    pace, quiet, now = Pace(), 0, 0.0
    while now < 780:
        seen = sum(birth <= now for birth in births)
        if pace.is_quiet(now):
            quiet += 1
            assert pace.number == seen
        else:
            pace.saw(seen, 2 * seen, now, now + 0.002)
        now += dice.choice((0.01, 0.1, 0.3, 1.5)) if dice.random() > 0.02 else 9.7

    assert quiet > 100


def test_a_block_for_what_was_sent_is_looked_for_at_once() -> None:
    """A chain that makes a block for each transaction is not taken for one whose blocks come as rarely as we looked."""
    pace = Pace()
    list(watched(pace, [2.0 * number for number in range(20)], 38.5, stamped=2.0))
    pace.saw(20, 40, 38.5, 38.502)
    assert pace.next_look() > 39.5

    pace.stir(by_hand=False)
    soon = pace.next_look()
    assert soon < 38.55
    pace.saw(21, 41, soon, soon + 0.002)
    assert pace.interval is None


def test_a_chain_that_makes_none_is_asked_no_more() -> None:
    """After two transactions without such a block the rhythm alone says when to look; until somebody moves the chain by hand."""
    pace = Pace()
    list(watched(pace, [2.0 * number for number in range(20)], 38.5, stamped=2.0))
    pace.saw(20, 40, 38.5, 38.502)
    looks, now = 0, 38.6
    for _ in range(5):
        pace.stir(by_hand=False)
        while pace.next_look() < 39.5:
            looks, now = looks + 1, max(now, pace.next_look())
            pace.saw(20, 40, now, now + 0.001)

    assert looks == 2 * 4
    pace.stir(by_hand=True)
    assert pace.next_look() < 39.5


def header(number: int, fork: str = "a", parent: str | None = None) -> Header:
    hashed = Bytes32("0x" + f"{fork}{number:03x}".rjust(64, "0"))
    above = Bytes32("0x" + f"{parent or fork}{number - 1:03x}".rjust(64, "0"))
    return Header(BlockRef(number, hashed, UnixTime(number)), above, 0, None, 0)


def test_a_head_is_not_followed_by_its_ancestor() -> None:
    """A load balancer's backends differ by some blocks; the one that lags makes no news, however often it is asked."""
    ancestry = Ancestry()
    for number in range(5, 11):
        ancestry.follow(header(number), 0)

    for moment, number in enumerate((8, 10, 9, 7, 10, 3, 9, 10, 8, 9, 10, 9)):
        assert ancestry.follow(header(number), moment) == header(10)
    assert ancestry.follow(header(11), 20) == header(11)


def test_a_lower_head_of_another_branch_is_news_at_once() -> None:
    """Where the headers that we saw prove that it is none of our head's ancestors, the chain was reorganised."""
    ancestry = Ancestry()
    for number in range(5, 11):
        ancestry.follow(header(number), 0)

    assert ancestry.follow(header(8, "b", "a"), 1) == header(8, "b", "a")
    assert ancestry.follow(header(9, "b"), 1) == header(9, "b")
    # The old branch is forgotten: what lags on the new one lags.
    assert ancestry.follow(header(8, "b", "a"), 2) == header(9, "b")


def test_a_lower_head_that_stays_is_believed() -> None:
    """A node that has lost its tail tells nothing newer, for long."""
    ancestry = Ancestry()
    for number in (5, 6, 7):
        ancestry.follow(header(number), 0)

    assert ancestry.follow(header(6), 1) == header(7)
    assert ancestry.follow(header(6), LAG_SECONDS) == header(7)
    assert ancestry.follow(header(6), 1 + LAG_SECONDS) == header(6)
    assert ancestry.follow(header(7, "b", "a"), 9) == header(7, "b", "a")


def test_a_lower_head_beyond_a_gap_may_be_an_ancestor() -> None:
    """Blocks that nobody saw prove nothing, so it has to stay to be believed."""
    ancestry = Ancestry()
    for seen in (header(5), header(11, "b")):
        ancestry.follow(seen, 0)

    assert ancestry.follow(header(9, "b"), 1) == header(11, "b")
    assert ancestry.follow(header(10, "a"), 2) == header(10, "a")


def test_an_ancestor_is_known_where_every_header_was_seen() -> None:
    """And only there: a gap, or another branch, has to be asked for."""
    ancestry = Ancestry()
    for seen in (header(3), *(header(number) for number in range(5, 11))):
        ancestry.follow(seen, 0)

    assert ancestry.ancestor(header(10).ref, 6) == header(6).ref
    assert ancestry.ancestor(header(10).ref, 10) == header(10).ref
    assert ancestry.ancestor(header(10).ref, 4) is None
    assert ancestry.ancestor(header(10).ref, 3) is None
    assert ancestry.ancestor(header(10, "b").ref, 6) is None
