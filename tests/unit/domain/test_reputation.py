"""Reputation: what each outcome says, how it is weighed, and what no history can do to a score."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.domain.ids import Address
from marketplace.domain.reputation import (
    FAILURES,
    HALF_LIFE_SECONDS,
    LOUDEST,
    MILD,
    NEWCOMER,
    VOICES,
    WHOLE,
    Evidence,
    Outcome,
    Reputation,
    Standing,
    Tally,
    replay_standings,
    share_left,
    with_evidence,
)
from marketplace.domain.units import UnixTime
from marketplace.domain.wire import reputation_from_wire, reputation_to_wire
from tests.unit.domain.lives import CLIENT, DOLLAR, FLOOR, PEOPLE, PROVIDER, START, Life

HOUR = 3_600
SERVED = tuple(outcome for outcome in Outcome if outcome not in (*FAILURES, Outcome.SELF_DEALT))


def said(
    outcome: Outcome, weight: int = WHOLE, *, at: int = START, client: int = 1, provider: Address = PROVIDER
) -> Evidence:
    return Evidence(provider, Address(f"0x{client:040x}"), outcome, weight, UnixTime(at), provider)


def after(evidence: Sequence[Evidence]) -> Standing:
    standing = Standing()
    for one in evidence:
        standing = with_evidence(standing, one)
    return standing


# What an event says ---------------------------------------------------------------------------------------------------


def _claimed(life: Life, at: int) -> Evidence | None:
    lease = life.open()
    life.claim(lease, HOUR, at)
    return life.finalize(lease, HOUR, at + 86_400)


def _cleared(life: Life, at: int) -> Evidence | None:
    lease = life.open()
    life.dispute(lease, HOUR, at)
    return life.rule(lease, HOUR, at + 86_400, is_at_fault=False)


@pytest.mark.parametrize(
    ("outcome", "live"),
    [
        (Outcome.SETTLED, lambda life, at: life.settle(life.open(), HOUR, at)),
        (Outcome.CLAIMED, _claimed),
        (Outcome.TERMINATED, lambda life, at: life.terminate(life.open(), HOUR, at)),
        (Outcome.CLEARED, _cleared),
    ],
)
def test_what_was_served_weighs_what_was_paid(outcome: Outcome, live: Callable[[Life, int], Evidence | None]) -> None:
    """An hour of one GPU at a dollar is two bond floors of half a dollar, however the lease ended."""
    evidence = live(Life(), START + HOUR)

    assert evidence is not None
    assert (evidence.provider, evidence.client) == (PROVIDER, CLIENT)
    assert (evidence.outcome, evidence.weight) == (outcome, 2 * WHOLE)


def _ruled_against(life: Life, at: int) -> Evidence | None:
    lease = life.open()
    life.dispute(lease, HOUR, at)
    return life.rule(lease, HOUR, at, is_at_fault=True)


@pytest.mark.parametrize(
    ("outcome", "live"),
    [
        (Outcome.EXPIRED, lambda life, at: life.expire(life.open(), at)),
        (Outcome.AT_FAULT, _ruled_against),
    ],
)
def test_what_failed_weighs_all_that_was_locked(outcome: Outcome, live: Callable[[Life, int], Evidence | None]) -> None:
    """Ten hours were promised: twenty bond floors, also where an hour of it was paid."""
    evidence = live(Life(), START + HOUR)

    assert evidence is not None
    assert (evidence.outcome, evidence.weight) == (outcome, 20 * WHOLE)


def test_the_smallest_failure_weighs_a_bond_floor() -> None:
    """No lease is too small to be worth coming back for."""
    life = Life()
    evidence = life.expire(life.open(max_price=1, price=1), START + 10 * HOUR)

    assert evidence is not None
    assert evidence.weight == WHOLE


def test_a_decline_and_a_lapse_weigh_little_and_always_the_same() -> None:
    """Whatever was locked: a stranger can bring them about, so they must not be a weapon."""
    life = Life()
    declined = life.decline(life.open(gpus=8, price=2 * DOLLAR), START + 1)
    lease = life.open()
    life.dispute(lease, HOUR, START + HOUR)
    lapsed = life.lapse(lease, HOUR // 2, START + 2 * HOUR)

    assert declined is not None
    assert lapsed is not None
    assert (declined.outcome, declined.weight) == (Outcome.DECLINED, MILD)
    assert (lapsed.outcome, lapsed.weight) == (Outcome.LAPSED, MILD)


def test_a_serving_is_judged_when_it_is_over() -> None:
    """Opening, progress, claims, disputes and assignments say nothing yet."""
    life = Life()
    lease = life.open()

    assert life.settle(lease, HOUR, START + HOUR, last=False) is None
    assert life.assign(lease, PEOPLE[3], START + HOUR) is None
    assert life.claim(lease, HOUR, START + HOUR) is None
    assert life.dispute(lease, HOUR, START + HOUR) is None


def test_money_that_was_there_for_a_moment_proves_nothing() -> None:
    """Seconds paid in advance count only as far as they have passed: open and settle in one block weigh nothing."""
    life = Life()
    at_once = life.settle(life.open(min_seconds=36_000), 36_000, START)
    early = life.settle(life.open(min_seconds=36_000), 36_000, START + HOUR)
    not_begun = life.terminate(life.open(min_seconds=36_000, starts_at=START + 9 * HOUR), 36_000, START + HOUR)

    assert at_once is not None
    assert early is not None
    assert not_begun is not None
    assert (at_once.weight, early.weight, not_begun.weight) == (0, 2 * WHOLE, 0)


def test_an_absurd_price_weighs_no_more_than_a_large_machine() -> None:
    """Forty bond floors an hour and lease, so that price cannot stand for time."""
    life = Life()
    dear = life.settle(life.open(price=10**6 * DOLLAR, max_price=10**6 * DOLLAR), HOUR, START + HOUR)
    large = life.settle(life.open(gpus=8, price=2 * DOLLAR), HOUR, START + HOUR)

    assert dear is not None
    assert large is not None
    assert (dear.weight, large.weight) == (40 * WHOLE, 32 * WHOLE)


@pytest.mark.parametrize("order", [{"client": PROVIDER}, {"acceptor": PROVIDER}, {"acceptor": PEOPLE[3]}])
def test_serving_oneself_counts_nothing(order: dict[str, Address]) -> None:
    """The provider, or who gets its income, is the client or signs for it."""
    life = Life()
    lease = life.open(**order)
    life.assign(lease, PEOPLE[3] if order.get("acceptor") == PEOPLE[3] else PROVIDER, START)
    evidence = life.settle(lease, HOUR, START + HOUR)

    assert evidence is not None
    assert (evidence.outcome, evidence.weight) == (Outcome.SELF_DEALT, 0)


def test_assigning_the_income_to_the_client_undoes_no_failure() -> None:
    """Else a provider about to fail would make itself a self-dealer."""
    life = Life()
    lease = life.open()
    life.assign(lease, CLIENT, START + 1)
    evidence = life.expire(lease, START + 11 * HOUR)

    assert evidence is not None
    assert (evidence.outcome, evidence.weight) == (Outcome.EXPIRED, 20 * WHOLE)


# What it changes ------------------------------------------------------------------------------------------------------


def test_a_newcomer_has_the_priors_score() -> None:
    """Nine tenths, at any time."""
    assert {NEWCOMER.score_bps(UnixTime(at)) for at in (0, START, 2**40)} == {9_000}


def test_a_good_record_reaches_9990() -> None:
    """Eight clients and 19,800 bond floors of work: on an L2, 9,900 dollars."""
    standing = after([said(Outcome.SETTLED, 19_800 * WHOLE // 8, client=client) for client in range(8)])

    assert standing.reputation.score_bps(START) == 9_990


def test_one_client_alone_proves_little() -> None:
    """A voice counts for an eighth of what was served, at most."""
    alone = after([said(Outcome.SETTLED, 800 * WHOLE)])
    many = after([said(Outcome.SETTLED, 100 * WHOLE, client=client) for client in range(8)])

    assert (alone.reputation.heard, many.reputation.heard) == (100 * WHOLE, 800 * WHOLE)


def test_what_is_kept_of_clients_is_bounded() -> None:
    """As many voices as there are, however many clients."""
    standing = after([said(Outcome.SETTLED, client=client) for client in range(5 * VOICES)])

    assert len(standing.voices) == VOICES
    assert standing.reputation.tallies == {Outcome.SETTLED: Tally(5 * VOICES, 5 * VOICES * WHOLE)}


def test_evidence_weighs_half_after_the_half_life() -> None:
    """Good and bad alike; counts are for ever."""
    events = [said(Outcome.EXPIRED, 8 * WHOLE), *[said(Outcome.SETTLED, WHOLE, client=one) for one in range(8)]]
    later = with_evidence(after(events), said(Outcome.SELF_DEALT, 0, at=START + HALF_LIFE_SECONDS))

    assert later.reputation.tallies[Outcome.EXPIRED] == Tally(1, 4 * WHOLE)
    assert later.reputation.tallies[Outcome.SETTLED] == Tally(8, 4 * WHOLE)
    assert later.reputation.heard == 4 * WHOLE


def test_the_share_that_is_left_is_the_same_on_every_machine() -> None:
    """Known values: any change of them changes everybody's score."""
    assert [share_left(seconds) for seconds in (-5, 0, HALF_LIFE_SECONDS, 3 * HALF_LIFE_SECONDS)] == [
        2**64, 2**64, 2**63, 2**61,
    ]  # fmt: skip
    assert share_left(HALF_LIFE_SECONDS // 2) == 13_043_817_825_332_782_212
    assert share_left(1) == 18_446_739_140_747_521_380
    assert share_left(10**12) == 0


@given(st.integers(0, 20 * HALF_LIFE_SECONDS))
def test_every_second_takes_something_away(seconds: int) -> None:
    """As a power of two, and to age twice is to age once for as long, but for roundings."""
    assert share_left(seconds) / 2**64 == pytest.approx(2 ** (-seconds / HALF_LIFE_SECONDS), rel=1e-6)
    assert share_left(seconds + 1) < share_left(seconds)
    twice = share_left(seconds // 2) * share_left(seconds - seconds // 2) >> 64
    assert abs(twice - share_left(seconds)) < 2**34


# What no history can do ------------------------------------------------------------------------------------------------


def pasts() -> st.SearchStrategy[list[Evidence]]:
    """Up to thirty outcomes over up to a few half-lives, of a few clients, of all sizes."""
    return st.integers(0, 2**32).map(lambda seed: _past_drawn(random.Random(seed)))


def _past_drawn(draw: random.Random) -> list[Evidence]:
    at, past = START, list[Evidence]()
    clients, failing = draw.choice([1, 3, 40]), draw.choice([0.0, 0.1, 0.6])
    for _ in range(draw.randint(0, 30)):
        at = UnixTime(at + draw.choice([0, 0, 1, 60, 86_400, HALF_LIFE_SECONDS]))
        outcome = draw.choice(FAILURES if draw.random() < failing else SERVED)
        weight = MILD if outcome in FAILURES[:2] else WHOLE * draw.choice([1, 7, 50, 3_000]) + draw.randint(0, WHOLE)
        past.append(said(outcome, weight, at=at, client=draw.randint(1, clients)))
    return past


@given(pasts(), st.sampled_from(SERVED), st.integers(1_000, 10_000 * WHOLE), st.integers(1, 50))
def test_more_success_never_lowers_a_score(past: list[Evidence], outcome: Outcome, weight: int, client: int) -> None:
    """Of whatever size, from whatever client, old or new."""
    standing = after(past)
    at = UnixTime(max(START, standing.reputation.as_of) + 1_000)
    more = with_evidence(standing, said(outcome, weight, at=at, client=client))

    assert more.reputation.score_bps(at) >= standing.reputation.score_bps(at)


@given(pasts(), st.sampled_from(FAILURES), st.integers(MILD, 10_000 * WHOLE))
def test_a_failure_never_raises_a_score(past: list[Evidence], outcome: Outcome, weight: int) -> None:
    """However small, however long ago the rest."""
    standing = after(past)
    at = UnixTime(max(START, standing.reputation.as_of) + 1_000)
    more = with_evidence(standing, said(outcome, weight, at=at))

    assert more.reputation.score_bps(at) <= standing.reputation.score_bps(at)
    assert more.reputation.failed > standing.reputation.failed * share_left(1_000) >> 64


@given(pasts(), st.lists(st.integers(0, 4 * HALF_LIFE_SECONDS), min_size=2))
def test_a_score_is_bounded_and_moves_towards_the_prior(past: list[Evidence], waits: list[int]) -> None:
    """From 0 to 9,999; while nothing happens it never moves away from 9,000, nor beyond."""
    reputation = after(past).reputation
    scores = [reputation.score_bps(UnixTime(reputation.as_of + wait)) for wait in (0, *sorted(waits), 2**34)]

    assert all(0 <= score < 10_000 for score in scores)
    assert scores[-1] == 9_000 or abs(scores[-1] - 9_000) == 1
    assert scores == sorted(scores, reverse=scores[0] > 9_000)


@given(pasts(), st.randoms(use_true_random=False))
def test_what_happened_at_one_moment_may_be_told_in_any_order(past: list[Evidence], shuffle: random.Random) -> None:
    """Bit for bit, voices included."""
    now = [said(one.outcome, one.weight, at=START + 77, client=int(one.client, 16)) for one in past]
    before = after(past[:3])
    told = before
    for one in now:
        told = with_evidence(told, one)
    shuffle.shuffle(now)
    retold = before
    for one in now:
        retold = with_evidence(retold, one)

    assert retold == told


@given(pasts())
def test_the_parts_add_up(past: list[Evidence]) -> None:
    """What is heard is at most what was served, each voice at most its part; what failed is in nobody's voice."""
    standing = after(past)
    tallies, voices = standing.reputation.tallies, standing.voices
    served = sum(tallies[outcome].weight for outcome in SERVED if outcome in tallies)

    assert sum(tally.count for tally in tallies.values()) == len(past)
    assert abs(sum(voices.values()) - served) <= 100 * len(past)
    assert standing.reputation.heard <= sum(voices.values()) * min(LOUDEST, len(voices)) // LOUDEST
    assert min(voices.values(), default=0) >= 0


def test_whoever_folds_the_events_has_the_same_reputations() -> None:
    """Each provider's, whatever happens at others in between."""
    ours, both = Life(), Life()
    for life, providers in ((ours, (PROVIDER,)), (both, (PROVIDER, PEOPLE[1]))):
        for day, provider in [(day, provider) for day in range(4) for provider in providers]:
            at = START + day * 86_400
            life.settle(life.open(at=at, provider=provider), HOUR, at + HOUR)
            life.decline(life.open(at=at + HOUR, provider=provider), at + HOUR + 1)
            life.expire(life.open(at=at + HOUR, provider=provider), at + 12 * HOUR)

    alone, together = (replay_standings(life.told, FLOOR) for life in (ours, both))

    assert set(together) == {PROVIDER, PEOPLE[1]}
    assert together[PROVIDER] == alone[PROVIDER]
    assert {outcome: tally.count for outcome, tally in alone[PROVIDER].reputation.tallies.items()} == {
        Outcome.SETTLED: 4, Outcome.DECLINED: 4, Outcome.EXPIRED: 4,
    }  # fmt: skip


def test_long_and_short_histories_agree_on_a_steady_provider() -> None:
    """A tenth of the work failed, for a year, whatever the size of it: about nine tenths, as it should be."""
    for size in (WHOLE, 10_000 * WHOLE):
        year = [
            said(Outcome.EXPIRED if n % 10 == 0 else Outcome.SETTLED, size, at=START + n * 86_400 // 10, client=n)
            for n in range(3_650)
        ]
        assert 8_900 <= after(year).reputation.score_bps(year[-1].at) <= 9_100


@given(pasts())
def test_a_reputation_survives_the_wire(past: list[Evidence]) -> None:
    """Weights of any size."""
    reputation = after(past).reputation

    assert reputation_from_wire(reputation_to_wire(reputation)) == reputation


def test_scores_of_consecutive_seconds_do_not_jump() -> None:
    """No step in the ageing, least of all where a half-life ends."""
    reputation = Reputation(UnixTime(START), {Outcome.EXPIRED: Tally(1, 500 * WHOLE)}, 0)
    edge = START + HALF_LIFE_SECONDS
    scores = [reputation.score_bps(UnixTime(at)) for at in range(edge - 3, edge + 4)]

    assert all(0 <= later - earlier <= 1 for earlier, later in pairwise(scores))
