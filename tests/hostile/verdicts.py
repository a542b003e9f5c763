"""What came of lies that were told, counted; and what may be shown to people of somebody else's words."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_LETTERS = 4_000
"""Of what is said about a lie."""


@dataclass
class Verdicts:
    """How many lies were refused with a typed error, how many taken for what they are within every bound, and what was neither."""

    refused: int = 0
    harmless: int = 0
    wrongs: list[str] = field(default_factory=list)

    @property
    def told(self) -> int:
        return self.refused + self.harmless + len(self.wrongs)

    def refuse(self, about: str, said: str) -> None:
        """It was refused in these words, which repeat no stranger's orders to a terminal, and no megabytes of his."""
        if len(said) > MOST_LETTERS or not said.isprintable():
            self.wrongs.append(f"{about}: refused in words that nobody can show: {said[:80]!a}")
        else:
            self.refused += 1

    def judge(self, about: str, *, is_harmless: bool, taken: object) -> None:
        """It was taken."""
        if is_harmless:
            self.harmless += 1
        else:
            self.wrongs.append(f"{about}: taken as {ascii(repr(taken))[:300]}")

    def wrong(self, about: str, error: BaseException) -> None:
        """It went past every net."""
        self.wrongs.append(f"{about}: {ascii(repr(error))[:300]}")
