"""The bottom of the engine: arrays of integers, and what is done with them everywhere. It knows nothing of markets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Records = NDArray[np.void]
"""Rows with named columns. (mypy cannot know the names: a row is Any.)"""
NOWHERE = -1
"""In the place of an offer's row, or of any other place."""
UNKNOWN = -1
"""In the place of a number that nobody has given."""
NEVER = 1 << 60
"""More than any price."""
_TABLE = 1 << 22
"""Codes below this are numbered by a table, which is ten times as fast as sorting them."""
_SMALL_TABLE, _SPARSE = 1 << 10, 8
"""The same for few values: up to so many, or so many times their number."""


def grown(column: Ints, rows: int) -> Ints:
    """A copy with room for so many rows, the new ones 0."""
    return np.concatenate((column, np.zeros(rows - len(column), column.dtype)))


def distinct(columns: Sequence[Ints]) -> tuple[Ints, Ints]:
    """The rows that are alike in all of these columns, numbered: the first row of each number, and the number of each row."""
    code = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        if len(column) and (low := column.min()) != (high := column.max()):
            width = int(high) - int(low) + 1
            if int(code.max()) * width >= 1 << 62:
                _, code = numbered(code)
            code = code * width + (column - low)
    return numbered(code)


def numbered(codes: Ints) -> tuple[Ints, Ints]:
    """Equal codes, equal numbers from 0, in their order: the first row of each number, and the number of each row."""
    most = int(codes.max(initial=0))
    if most >= _TABLE:
        _, first, at = np.unique(codes, return_index=True, return_inverse=True)
        return first, at
    is_there = np.zeros(most + 1, np.bool_)
    is_there[codes] = True
    at = (np.cumsum(is_there) - 1)[codes]
    first = np.empty(int(is_there.sum()), np.int64)
    first[at[::-1]] = np.arange(len(codes) - 1, -1, -1)
    return first, at


def ranked(values: Ints) -> tuple[Ints, Ints]:
    """The different values, ascending, and the rank of each among them."""
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if high - low >= _SPARSE * len(values) + _SMALL_TABLE:
        return np.unique(values, return_inverse=True)
    shifted = values - low if low else values
    is_there = np.bincount(shifted, minlength=1) > 0
    return np.nonzero(is_there)[0] + low, (np.cumsum(is_there) - 1)[shifted]


def sizes_of(gpus: Ints, most: int) -> tuple[Ints, Ints]:
    """The different numbers of GPUs, ascending, all above ``most`` being one; and of each number up to the largest its place among them."""
    is_there = np.bincount(gpus, minlength=1) > 0
    if len(is_there) > most + 2:
        is_there[most + 1] = is_there[most + 1 :].any()
        is_there[most + 2 :] = False
    return np.flatnonzero(is_there), np.cumsum(is_there) - 1


def equal_runs(column: Any, values: Iterable[int]) -> list[range]:
    """Of each value: where it stands in this sorted column."""
    numbers = np.array(list(values), column.dtype)
    starts, ends = (np.searchsorted(column, numbers, side).tolist() for side in ("left", "right"))
    return list(map(range, starts, ends))


@njit(cache=True)
def as_met(codes: Ints) -> tuple[Ints, Ints]:
    """Equal codes, equal numbers from 0, in the order in which they are met: the first row of each number, and the number of each row."""
    size = 2
    while size < 2 * len(codes):
        size *= 2
    rows, count = np.full(size, NOWHERE, np.int64), 0
    first, number = np.empty(len(codes), np.int64), np.empty(len(codes), np.int64)
    for row in range(len(codes)):
        code = codes[row]
        at = (((code ^ (code >> 20) ^ (code >> 40)) & 0xFFFFF) * 40_503 >> 4) & (size - 1)
        while rows[at] != NOWHERE and codes[rows[at]] != code:
            at = (at + 1) & (size - 1)
        if rows[at] == NOWHERE:
            rows[at], number[row], first[count] = row, count, row
            count += 1
        else:
            number[row] = number[rows[at]]
    return first[:count].copy(), number


def gpus_on(places: Ints, gpus: Ints, count: int) -> Ints:
    """How many GPUs in all there are on each of so many places. Exact: nothing near 2^53 comes together."""
    return np.bincount(places, gpus, count).astype(np.int64)


@njit(cache=True)
def sizes_in(asked: Bools, demand: int, sizes: Ints) -> int:
    """Write down the sizes that are asked for of this demand; how many."""
    count = 0
    for size in range(asked.shape[1]):
        if asked[demand, size]:
            sizes[count] = size
            count += 1
    return count


def starts_of(counts: Any) -> Ints:
    starts: Ints = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
    return starts


def lots(block_hash: str, numbers: Any) -> Any:
    """A number for each of these and each block that nobody chooses: splitmix64 of the block's hash and the number."""
    lots = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(int(block_hash[2:18], 16))
    lots = (lots ^ (lots >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    lots = (lots ^ (lots >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return lots ^ (lots >> np.uint64(31))
