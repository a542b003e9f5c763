"""What a faulty node may do, as values: a rule says which fault, on whose calls of which methods, how often.

Chance comes from the seed alone: the n-th call of a method by a party draws the same number whatever the others do meanwhile.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """The ways in which a node, or the line to it, fails or lies. ``setting`` of a rule is said in brackets."""

    # Of the whole exchange, before the node hears of it
    DROP = "drop"
    """The connection ends without an answer."""
    HTTP = "http"
    """An HTML page with an HTTP status [429, 500, 502 …]; 429 and 503 say ``Retry-After``."""
    DELAY = "delay"
    """The answer comes so much later [milliseconds]."""
    NO_BATCHES = "no_batches"
    """A batch is refused as a whole, by one error."""
    # Of the whole exchange, after the node has done it
    DROP_REPLY = "drop_reply"
    TRUNCATED = "truncated"
    HUGE = "huge"
    """So many bytes of blanks [bytes] come with the answer."""
    MISSING_ANSWER = "missing_answer"
    """One answer of a batch is not there."""
    SHUFFLED = "shuffled"
    """The answers of a batch come in another order, which is allowed."""
    # Of one call, before
    ERROR = "error"
    """A JSON-RPC error [code], with the rule's message; -32005 carries ``Retry-After``."""
    UNKNOWN_METHOD = "unknown_method"
    # Of one call, after
    FAILED_AFTERWARDS = "failed_afterwards"
    """The node has done it, and answers -32603."""
    WRONG_ID = "wrong_id"
    NULL = "null"
    EMPTY_LOGS = "empty_logs"
    PARTIAL_LOGS = "partial_logs"
    """Every second log is left out."""
    NO_FIELD = "no_field"
    """The answer's object lacks a field [the rule's message is its name]."""
    WRONG_TYPE = "wrong_type"
    """A string stands where something else should."""
    # Of one call, throughout: an older state
    LAGGING = "lagging"
    """The node stands so many blocks back [blocks]: heads, receipts, logs, counts, calls."""
    SPLIT = "split"
    """Two nodes behind one address: each call goes to the newest state or to one so many blocks back [blocks]."""
    # What real nodes rightly do, and anvil does not
    GETH_POOL = "geth_pool"
    """A replacement needs 10 % more of both fees; what is known is refused as known; a fee cap below the base fee is evicted."""
    LOG_RANGE = "log_range"
    """Logs of more blocks at once [blocks] are refused."""
    LOG_COUNT = "log_count"
    """More logs at once [logs] are refused."""


WHOLE = frozenset(
    {Fault.DROP, Fault.HTTP, Fault.DELAY, Fault.NO_BATCHES, Fault.DROP_REPLY, Fault.TRUNCATED, Fault.HUGE}
    | {Fault.MISSING_ANSWER, Fault.SHUFFLED}
)
"""Faults of a whole exchange: in a batch they strike all of its calls."""

PERSISTENT = frozenset({Fault.GETH_POOL, Fault.LOG_RANGE, Fault.LOG_COUNT})
"""How a node is, rather than what happens to it: these are not noted each time that they hold, only when they refuse."""


@dataclass(frozen=True)
class Rule:
    """One fault. ``methods`` and ``lines`` are regular expressions for whole names.

    ``chance`` is out of 1. ``times`` strikes and the rule is spent; ``skip`` so many matching calls are spared first.
    """

    fault: Fault
    methods: str = ".*"
    lines: str = ".*"
    chance: float = 1.0
    times: int | None = None
    skip: int = 0
    setting: int = 0
    message: str = ""

    def matches(self, line: str, method: str) -> bool:
        return bool(re.fullmatch(self.methods, method) and re.fullmatch(self.lines, line))


@dataclass(frozen=True)
class Did:
    """What was done to a call, for the history. ``number`` counts the strikes."""

    number: int
    fault: Fault
    line: str
    method: str
    detail: str


@dataclass
class _Standing:
    rule: Rule
    left: int | None
    to_skip: int
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)


class Rulebook:
    """The rules in force; deals out faults call by call. Safe to share between threads."""

    MOST_NOTED = 20_000

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._lock = threading.Lock()
        self._standing: list[_Standing] = []
        self._made = 0
        self._done: list[Did] = []
        self.struck: Counter[Fault] = Counter()

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force. Of two that strike the same call both do."""
        with self._lock:
            self._made += 1
            self._standing.append(_Standing(rule, rule.times, rule.skip))
        return rule

    def clear(self) -> None:
        """Be an honest node from here on."""
        with self._lock:
            self._standing.clear()

    def remove(self, rule: Rule) -> None:
        with self._lock:
            self._standing = [one for one in self._standing if one.rule is not rule]

    def deal(self, line: str, method: str) -> tuple[Rule, ...]:
        """The rules that strike this call."""
        with self._lock:
            struck = tuple(one.rule for one in self._standing if self._strikes(one, line, method))
            self._standing = [one for one in self._standing if one.left is None or one.left > 0]
            return struck

    def _strikes(self, one: _Standing, line: str, method: str) -> bool:
        if not one.rule.matches(line, method):
            return False
        if one.to_skip:
            one.to_skip -= 1
            return False
        one.seen[line, method] += 1
        if one.rule.chance < 1 and self.draw(one.rule, line, method, one.seen[line, method]) >= one.rule.chance:
            return False
        if one.left is not None:
            if not one.left:
                return False
            one.left -= 1
        return True

    def draw(self, rule: Rule, line: str, method: str, number: int) -> float:
        """A number below 1 for the so many-th call that a rule looks at."""
        # Not the position of the rule: rules come and go, and what is drawn for this one should stay.
        return Random(f"{self.seed}/{rule.fault}/{rule.methods}/{rule.setting}/{line}/{method}/{number}").random()

    def note(self, rule: Rule, line: str, method: str, detail: str = "") -> None:
        """Write down that a fault was done."""
        with self._lock:
            self.struck[rule.fault] += 1
            if len(self._done) < self.MOST_NOTED:
                self._done.append(Did(sum(self.struck.values()), rule.fault, line, method, detail))

    @property
    def done(self) -> Sequence[Did]:
        """What was done so far, in order."""
        with self._lock:
            return tuple(self._done)


def next_one(fault: Fault, methods: str, *, times: int = 1, **more: object) -> Rule:
    """A scripted rule: strikes the next so many calls and is spent."""
    return replace(Rule(fault, methods, times=times), **more)  # type: ignore[arg-type]
