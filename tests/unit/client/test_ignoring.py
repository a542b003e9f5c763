"""What of an input folder is not sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.client.ignoring import IGNORE_FILE, MOST_BYTES
from marketplace.client.request import JobRequest, bundle_inputs
from marketplace.domain.errors import InvalidField
from marketplace.domain.units import PricePerGpuHour, Seconds


def sent(folder: Path, files: dict[str, Path] | None = None) -> set[str]:
    """The files that travel."""
    request = JobRequest(
        command=("true",), gpus_of=("RTX4090",), max_price=PricePerGpuHour(1), max_time=Seconds(1),
        inputs=folder, files=files or {},
    )  # fmt: skip
    bundle = bundle_inputs(request)
    return {entry.name for entry in bundle.entries if not entry.is_folder} if bundle else set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        ".git/HEAD",
        "__pycache__/a.pyc",
        "src/__pycache__/b.pyc",
        "src/main.py",
        "data/big.bin",
        "data/small.bin",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".git" / "link").symlink_to("HEAD")
    return tmp_path


def test_history_and_caches_stay_at_home(folder: Path) -> None:
    """``.git`` and ``__pycache__`` wherever they are, with links in them that no bundle would hold; all else travels."""
    assert sent(folder) == {"src/main.py", "data/big.bin", "data/small.bin"}


def test_a_file_says_what_else_stays_in_gits_words(folder: Path) -> None:
    """Folders, wildcards, exceptions, anchors; what it takes back of the rule for all is sent."""
    (folder / IGNORE_FILE).write_text("# mine\n/data/*\n!/data/small.bin\n!src/__pycache__\n*.py\n")

    assert sent(folder) == {IGNORE_FILE, "data/small.bin", "src/__pycache__/b.pyc"}


def test_what_is_named_by_itself_is_sent_whatever_the_folder_ignores(folder: Path) -> None:
    """The rules are the folder's; a file that the request names is wanted."""
    (folder / IGNORE_FILE).write_text("*")

    assert sent(folder, {"run/x.py": folder / "src" / "main.py"}) == {"run/x.py"}
    assert sent(folder) == set()


@pytest.mark.parametrize("content", [b"\xff\xfe", b"x\n" * MOST_BYTES, b"!"], ids=["no text", "huge", "no pattern"])
def test_rules_that_cannot_be_read_are_refused(folder: Path, content: bytes) -> None:
    """Nothing is sent that its owner may have meant to keep."""
    (folder / IGNORE_FILE).write_bytes(content)

    with pytest.raises(InvalidField, match=IGNORE_FILE):
        sent(folder)
