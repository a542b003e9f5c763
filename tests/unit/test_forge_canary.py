"""A failing contract test fails the run: the real forge says so with its exit code."""

from __future__ import annotations

import os
import subprocess

from marketplace.chain.compiler import PROJECT_ROOT

FORGE = PROJECT_ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"


def forge(*arguments: str, profile: str) -> subprocess.CompletedProcess[str]:
    """Run forge as `make test` does, but in a profile of choice."""
    return subprocess.run(
        [FORGE, *arguments],
        cwd=PROJECT_ROOT,
        env={**os.environ, "FOUNDRY_PROFILE": profile},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_failing_contract_test_is_noticed() -> None:
    """The canary must fail, alone, and forge must not exit with 0."""
    run = forge("test", profile="canary")

    assert "the canary sings" in run.stdout
    assert "1 tests passed, 1 failed" in run.stdout
    assert run.returncode != 0


def test_the_ordinary_run_leaves_out_the_canary_only() -> None:
    """Forge exits with 0 when it finds no tests at all, so that what it finds is looked at."""
    found = forge("test", "--list", profile="default").stdout

    assert "CanaryTest" not in found
    expected = {"OpenTest", "SettleTest", "ExitsTest", "NormalTokenInvariantsTest", "SignaturesTest"}
    assert expected <= set(found.split())
