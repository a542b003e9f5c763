"""`bourse scheduler --engine`: where auctions are held."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from marketplace import processes
from marketplace.cli.main import app
from marketplace.config import from_env
from marketplace.domain.errors import ToolMissing


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who asks for the Ray engine and has no Ray is told the one command that mends it."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "scheduler.ray_auction", raising=False)
    settings = from_env({"BOURSE_REDIS_URL": "redis://nowhere"}, tmp_path)

    with pytest.raises(ToolMissing, match=r"pip install 'compute-bourse\[ray\]'"):
        processes.run_scheduler(settings, on_ray=True)


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ([], {}, (False, "auto")),
        (["--engine", "ray"], {}, (True, "auto")),
        (["--engine", "ray"], {"BOURSE_RAY_ADDRESS": "there:1"}, (True, "there:1")),
        (["--engine", "ray", "--ray-address", "here:2"], {"BOURSE_RAY_ADDRESS": "there:1"}, (True, "here:2")),
    ],
)
def test_the_option_wins_over_the_environment(
    options: list[str], environment: dict[str, str], expected: tuple[bool, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without options the engine is local; the cluster's address is the option's, the variable's, or this machine's."""
    asked = list[tuple[bool, str]]()

    def note(settings: Any, *, on_ray: bool, health_port: int | None = None) -> None:
        asked.append((on_ray, settings.ray_address))

    monkeypatch.setattr(processes, "run_scheduler", note)
    answer = CliRunner().invoke(app, ["scheduler", *options], env=environment)

    assert answer.exit_code == 0, answer.output
    assert asked == [expected]
