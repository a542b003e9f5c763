"""Somebody who types `bourse` commands, in this process: a program of this size takes seconds to start."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from marketplace.cli.main import main
from tests.spelling import misspelled


@dataclass(frozen=True)
class Done:
    """What a command left: as a process would."""

    stdout: str
    stderr: str
    returncode: int


@dataclass(frozen=True)
class Shell:
    """A folder and an environment in which somebody types.

    The console script's own ``main`` runs in this process, because a program of this size takes seconds to start.
    """

    folder: Path
    environment: dict[str, str]

    def run(self, *words: str, **more: str) -> Done:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["bourse", *words])
            for name in [name for name in os.environ if name.startswith("BOURSE_")]:
                patch.delenv(name)
            for name, value in (self.environment | more).items():
                patch.setenv(name, value)
            try:
                main()
                code: Any = 0
            except SystemExit as ended:
                code = ended.code
        return Done(out.getvalue(), err.getvalue(), int(code or 0))

    def answer(self, *words: str, code: int = 0) -> Any:
        """The one JSON document on stdout, whose names are spelled as everywhere."""
        done = self.run(*words)
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        document = json.loads(done.stdout)
        assert misspelled(document) == []
        return document


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command configures logging for its process, which here is everybody's."""
    handlers, hook = logging.getLogger().handlers[:], sys.excepthook
    yield
    logging.getLogger().handlers[:], sys.excepthook = handlers, hook
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
