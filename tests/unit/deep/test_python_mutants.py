"""What the mutation of Python changes, and what it leaves alone."""

from __future__ import annotations

from scripts.deep.python_mutants import mutants_of, mutated

SOURCE = '''
LIMIT = 5

def paid(seconds: int, price: int = 3) -> int:
    """At most the limit; never 0."""
    log.info("paid", seconds=seconds)
    if seconds < LIMIT and not price == 1:
        note(seconds)
        return seconds * price
    raise ValueError(f"{seconds + 1} is too much")
'''


def test_what_a_function_does_is_changed_and_nothing_that_people_are_told() -> None:
    """Comparisons, signs, numbers, calls, answers; no constant of the module, no default, no log line, no error's sentence."""
    changes = [(mutant.old, mutant.new) for mutant in mutants_of("a.py", SOURCE)]

    assert changes == [
        ("seconds < LIMIT", "seconds <= LIMIT"),
        ("1", "2"),
        ("price == 1", "price != 1"),
        ("not price == 1", "price == 1"),
        ("seconds < LIMIT and (not price == 1)", "seconds < LIMIT or not price == 1"),
        ("note(seconds)", "pass"),
        ("seconds * price", "seconds // price"),
        ("return seconds * price", "return None"),
    ]


def test_a_mutant_differs_in_one_place() -> None:
    """The chosen change is made, and no other."""
    unchanged = mutated(SOURCE, -1).splitlines()
    changed = [mutated(SOURCE, mutant.number).splitlines() for mutant in mutants_of("a.py", SOURCE)]

    assert {sum(a != b for a, b in zip(unchanged, lines, strict=True)) for lines in changed} == {1}
