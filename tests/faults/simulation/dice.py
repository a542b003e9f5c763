"""All chance of a simulation, from one seed: every choice has a stream of its own, so that one more or less disturbs no other."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random


class Dice:
    """Streams of chance, by name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def of(self, *names: object) -> Random:
        """The stream of that name, from its beginning."""
        return Random("/".join(map(str, (self.seed, *names))))


@contextmanager
def seeded_secrets(dice: Dice) -> Iterator[None]:
    """Salts, random wei and names of epochs come from the seed, too."""
    stream = dice.of("secrets")
    changed: dict[str, Callable[..., object]] = {
        "randbits": stream.getrandbits,
        "randbelow": stream.randrange,
        "token_hex": lambda size=32: stream.randbytes(size).hex(),
        "token_bytes": lambda size=32: stream.randbytes(size),
        "token_urlsafe": lambda size=32: stream.randbytes(size).hex(),
    }
    before = {name: getattr(secrets, name) for name in changed}
    for name, drawn in changed.items():
        setattr(secrets, name, drawn)
    try:
        yield
    finally:
        for name, real in before.items():
            setattr(secrets, name, real)
