"""What `bourse share` calls the files behind its URLs."""

from __future__ import annotations

from marketplace.cli.sharing import names_of
from marketplace.domain.ids import Sha256
from marketplace.domain.results import EndedReason, LogFile, Output, Result

ONE, TWO, THREE = (Sha256(digit * 64) for digit in "123")


def test_each_shared_part_says_which_output_it_is_of() -> None:
    """In the order of the URLs, once each: what two outputs have in common is named for both."""
    outputs = (
        Output("/job/out/models", 2, (ONE, TWO)),
        Output("/job/out/plots", 1, (THREE,)),
        Output("/job/out/same", 1, (THREE,)),
    )

    assert names_of(Result(0, EndedReason.EXITED, outputs, LogFile(ONE, 0, 0))) == [
        "/job/out/models (tar, part 1 of 2)", "/job/out/models (tar, part 2 of 2)",
        "/job/out/plots (tar) and /job/out/same (tar)",
    ]  # fmt: skip
