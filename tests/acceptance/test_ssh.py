"""Somebody sits at a job of a whole market by ssh, from the command line."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.acceptance.conftest import Network, eventually


def test_sitting_at_a_job_by_ssh(network: Network, tmp_path: Path) -> None:
    """`bourse exec` has the command's output and exit code, `cp` copies both ways, `ssh-config` leads OpenSSH there; a job that is over, and one without a key, say so."""
    network.bourse("wallet", "deposit", "2")
    said = ("run", "--gpu", "RTX4090", "--max-price", "0.40", "--max-time", "5m", "--no-wait")
    job = network.answer(*said, "--ssh", "--", "sh", "-c", "until [ -e /job/out/enough ]; do sleep 0.2; done")["id"]
    closed = network.answer(*said, "--max-time", "1m", "--", "sleep", "30")["id"]
    command = ("sh", "-c", "cat; echo 'two words'; id -u; exit 4")
    done = eventually(lambda: answered(network, job, *command), "a way into the job", 120)

    assert (done.stdout, done.returncode) == ("two words\n65534\n", 4)
    (tmp_path / "file").write_text("from here")
    network.bourse("cp", str(tmp_path / "file"), f"{job}:there")
    network.bourse("cp", f"{job}:/job/in/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "from here"
    (tmp_path / "config").write_text(config := network.bourse("ssh-config", job).stdout)
    name = config.split()[1]
    shell = subprocess.run(
        ["ssh", "-F", str(tmp_path / "config"), name, "cat there"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (shell.stdout, shell.returncode) == ("from here", 0), shell.stderr
    refused = network.bourse("exec", closed, "--", "true", check=False)
    assert (refused.returncode, "no_ssh" in refused.stderr) == (255, True)
    network.bourse("exec", job, "--", "touch", "/job/out/enough")
    over = eventually(lambda: ended(network, job), "the end of the seat", 120)
    assert "job_gone" in over.stderr


def answered(network: Network, job: str, *command: str) -> subprocess.CompletedProcess[str] | None:
    """What the command did; None while ssh finds no way."""
    done = network.bourse("exec", job, "--", *command, check=False)
    return None if done.returncode == 255 else done


def ended(network: Network, job: str) -> subprocess.CompletedProcess[str] | None:
    """The refusal, once there is one."""
    network.bourse("ps")
    done = network.bourse("exec", job, "--", "true", check=False)
    return done if done.returncode == 255 else None
