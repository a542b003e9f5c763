"""Requirements files that are not even given to pip."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.client.packages import packages_of
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MIB


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        (b"#" * (MIB + 1), "more than 1048576 bytes"),
        (b"a==1\n -r more.txt\n", "includes another file"),
    ],
    ids=["missing", "a novel", "one that includes"],
)
def test_a_file_that_is_no_whole_list_is_refused(content: bytes | None, why: str, tmp_path: Path) -> None:
    """And nothing is made for it."""
    if content is not None:
        (tmp_path / "requirements.txt").write_bytes(content)
    with pytest.raises(InvalidField, match=why):
        packages_of(tmp_path / "requirements.txt", tmp_path / "made")

    assert not (tmp_path / "made").exists()
