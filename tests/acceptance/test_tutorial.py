"""docs/tutorial.md, typed in by somebody who believes every word of it."""

from __future__ import annotations

import re

from tests.acceptance.conftest import ROOT, Network, blocks_of, run_by_reader

TUTORIAL = ROOT / "docs" / "tutorial.md"
README = ROOT / "README.md"


def _shapes(text: str) -> set[str]:
    """The lines of a screen, and what they list, without numbers, ids and widths, nor what is of one job or one offer alone."""
    lines = [re.sub(r"0x[0-9a-f]+|[\d.]*\d", "#", " ".join(line.split())) for line in re.split(r"[;\n]", text)]
    return {line for line in lines if not line.startswith(("# ", "$ ", "job "))}


def test_every_command_of_the_tutorial_works(network: Network) -> None:
    """In this order, from a fresh journal: jobs are numbered as the page says, and no command fails that should not. What README shows is printed."""
    folder = network.folder / "tutorial"
    said = "".join(run_by_reader(folder, kind, code) for kind, code in blocks_of(TUTORIAL))

    assert float((folder / "out" / "accuracy.txt").read_text()) > 0.9
    assert (folder / "out-4" / "accuracy.txt").is_file()
    assert "exit code 1" in said
    assert "exit code 3" in said
    assert "square 4 succeeded" in said
    assert "provider silent" in said
    assert "cancelled" in said
    shown = "".join(re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL))
    assert _shapes(shown) - _shapes(said) == set()
