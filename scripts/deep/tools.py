"""Running other people's tools: with a bound in time, a line of progress, and an error when they fail."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.deep.figures import ROOT

FORGE = ROOT / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"
TOOLS = ROOT / ".tools"
TAIL_CHARACTERS = 4_000


class DeepError(Exception):
    """A deep check did not hold, or could not be made. Nothing of the part is written."""


class ToolFailed(DeepError):
    """A tool ended with an error, or did not end in time."""

    def __init__(self, command: Sequence[str], reason: str, said: str) -> None:
        super().__init__(f"{' '.join(command)}: {reason}\n{said[-TAIL_CHARACTERS:]}")


class NotHeld(DeepError):
    """A check ran, and what it checks does not hold."""


@dataclass(frozen=True)
class Ran:
    """How a tool ended."""

    code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Test:
    """One test of forge's, as its JSON says it."""

    suite: str
    name: str
    status: str
    reason: str
    kind: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        """Whether it ran and held."""
        return self.status == "Success"


def say(part: str, sentence: str) -> None:
    """Print a line of progress."""
    print(f"deep: {part}: {sentence}", flush=True)


def environment(profile: str, **more: str) -> dict[str, str]:
    """The environment of a tool that calls forge: the pinned one, in this profile."""
    path = f"{FORGE.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "FOUNDRY_PROFILE": profile, "FOUNDRY_DISABLE_NIGHTLY_WARNING": "1", **more}


def run(
    command: Sequence[object],
    *,
    seconds: int,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    accept: Sequence[int] = (0,),
) -> Ran:
    """Run a tool to its end, and raise if it fails or takes longer than `seconds`."""
    words = [str(word) for word in command]
    try:
        ended = subprocess.run(words, cwd=cwd, env=env, timeout=seconds, capture_output=True, text=True, check=False)
    except subprocess.TimeoutExpired as late:
        raise ToolFailed(words, f"not done after {seconds} s", str(late.stdout)) from late
    if ended.returncode not in accept:
        raise ToolFailed(words, f"exit code {ended.returncode}", ended.stdout + ended.stderr)
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def forge_tests(arguments: Sequence[str], *, profile: str, seconds: int, **more: str) -> tuple[Test, ...]:
    """Run forge's tests and return what became of each. Failing tests are an answer; no test at all is an error."""
    command = [str(FORGE), "test", "--json", *arguments]
    ran = run(command, seconds=seconds, env=environment(profile, **more), accept=(0, 1))
    try:
        suites = json.loads(ran.stdout[ran.stdout.index("{") :])
    except ValueError as broken:
        raise ToolFailed(command, "no JSON", ran.stdout + ran.stderr) from broken
    tests = tuple(
        Test(suite, name, result["status"], result.get("reason") or "", result.get("kind") or {})
        for suite, found in suites.items()
        for name, result in found["test_results"].items()
    )
    if not tests:
        raise ToolFailed(command, "found no tests", ran.stderr)
    return tests


def require_success(tests: Sequence[Test]) -> None:
    """Raise unless every test held."""
    failed = [f"{test.suite} {test.name}: {test.status} {test.reason}" for test in tests if not test.is_success]
    if failed:
        raise NotHeld("\n".join(failed))


def installed(name: str) -> Path:
    """Make the tool's own environment below .tools, unless it is there, and return its programs' folder."""
    run([ROOT / "scripts/tool", name], seconds=600)
    return TOOLS / name / "bin"


def build_for_slither() -> None:
    """Compile the contracts as they are deployed, with all that slither reads, apart from the other builds."""
    run([FORGE, "build", "contracts", "--build-info", "--force"], seconds=600, env=environment("slither"))


def package_version(programs: Path, package: str) -> str:
    """The version of a package in a tool's environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return run([programs / "python", "-c", code], seconds=60).stdout.strip()


def forge_versions() -> dict[str, str]:
    """What the contracts were compiled and run with."""
    said = run([FORGE, "--version"], seconds=60).stdout
    solc = run([ROOT / "scripts/solc", "--version"], seconds=60).stdout
    return {"forge": _version_in(said), "solc": _version_in(solc)}


def minutes_since(start: float) -> str:
    """How long it has been, for people."""
    return f"{(time.monotonic() - start) / 60:.1f} min"


def _version_in(said: str) -> str:
    found = re.search(r"\d+\.\d+\.\d+", said)
    if found is None:
        raise DeepError(f"no version in {said!r}")
    return found.group()
