"""docs/tutorial.md, typed in by somebody who believes every word of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import Network

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
README = ROOT / "README.md"
SHELL_SECONDS = 200


def _blocks(text: str) -> list[tuple[str, str]]:
    """The code that the page asks to be run: (language, code), without starting and ending the market itself."""
    found = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    lines = [(kind, re.sub(r"^bourse devnet (up|down).*\n", "", code, flags=re.MULTILINE)) for kind, code in found]
    return [(kind, code) for kind, code in lines if code.strip()]


def _shapes(text: str) -> set[str]:
    """The lines of a screen, and what they list, without numbers, ids and widths, nor what is of one job or one offer alone."""
    lines = [re.sub(r"0x[0-9a-f]+|[\d.]*\d", "#", " ".join(line.split())) for line in re.split(r"[;\n]", text)]
    return {line for line in lines if not line.startswith(("# ", "$ ", "job "))}


def test_every_command_of_the_tutorial_works(network: Network) -> None:
    """In this order, from a fresh journal: jobs are numbered as the page says, and no command fails that should not. What README shows is printed."""
    folder = network.folder / "tutorial"
    folder.mkdir()
    programs = folder / "bin"
    programs.mkdir()
    (programs / "bourse").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m marketplace.cli.main "$@"\n')
    (programs / "bourse").chmod(0o755)
    environment = {
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT),
        "BOURSE_HOME": str(folder / "home"), "HOME": str(folder),
        "COLUMNS": "140",
    }  # fmt: skip
    said = ""

    for kind, code in _blocks(TUTORIAL.read_text()):
        command = ["bash", "-euo", "pipefail", "-c", code] if kind == "sh" else [sys.executable, "-c", code]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SHELL_SECONDS, check=False
        )
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
        said += done.stdout

    assert float((folder / "out" / "accuracy.txt").read_text()) > 0.9
    assert (folder / "out-4" / "accuracy.txt").is_file()
    assert "exit code 1" in said
    assert "exit code 3" in said
    assert "square 4 succeeded" in said
    assert "provider silent" in said
    assert "cancelled" in said
    shown = "".join(re.findall(r"```text\n(.*?)```", README.read_text(), re.DOTALL))
    assert _shapes(shown) - _shapes(said) == set()
