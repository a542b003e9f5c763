"""Somebody sits at a job of a whole market by ssh, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Network, eventually
from tests.integration.client.test_packages import hashed, wheel, written
from tests.ports import free_port

WORK = """python -m http.server -b 127.0.0.1 8080 >/dev/null 2>&1 &
until [ -e /job/out/enough ]; do sleep 0.2; done"""


@pytest.mark.timeout(600)
def test_sitting_at_a_job_by_ssh(network: Network, tmp_path: Path) -> None:
    """`bourse exec` has the command's output and exit code, `cp` copies both ways, `ssh-config` leads OpenSSH there, `expose` whoever has its token; a job that is over, and one without a key, say so."""
    network.bourse("wallet", "deposit", "2")
    said = ("run", "--gpu", "RTX4090", "--max-price", "0.40", "--max-time", "30m", "--no-wait")
    job = network.answer(*said, "--ssh", "--", "sh", "-c", WORK)["id"]
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
    assert served(network, job) == (401, "from here")
    refused = network.bourse("exec", closed, "--", "true", check=False)
    assert (refused.returncode, "no_ssh" in refused.stderr) == (255, True)
    network.bourse("exec", job, "--", "touch", "/job/out/enough")
    eventually(lambda: is_gone(network, job), "the end of the way in", 120)


@pytest.mark.timeout(600)
def test_more_time_for_a_rented_machine(network: Network, tmp_path: Path) -> None:
    """`bourse extend` orders a follow-on on the same offer, which has the files of the first session, and its packages, when that was ended; what is no session has none."""
    network.bourse("wallet", "deposit", "2")
    wheels = written(tmp_path, hashed(wheel(tmp_path)))
    job = network.answer("rent", "--gpu", "RTX4090", "--for", "10m", "--max-price", "0.40", "--pip", str(wheels))["id"]
    write = "import mini, pathlib; pathlib.Path('there').write_text(mini.WORD)"
    eventually(lambda: answered(network, job, "python", "-c", write), "a way into the session", 120)
    follower = network.answer("extend", job, "--for", "10m", "--yes")
    assert follower["follows"] == job
    if not follower["isEarly"]:
        network.bourse("end", job)
    read = "import mini, pathlib; print(mini.WORD == pathlib.Path('there').read_text())"
    done = eventually(lambda: answered(network, follower["id"], "python", "-c", read), "a way into the follow-on", 180)

    assert done.stdout == "True\n"
    eventually(lambda: is_gone(network, job), "the end of the first session", 120)
    again = network.bourse("extend", job, "--for", "10m", "--yes", check=False)
    assert (again.returncode, "job_gone" in again.stderr) == (3, True)
    network.bourse("end", follower["id"])


def served(network: Network, job: str) -> tuple[int, str]:
    """What a stranger gets of a file that the job serves, as a status, and what a holder of the token gets."""
    words = [sys.executable, "-m", "marketplace.cli.main", "expose", "--json", job, f"{(port := free_port())}:8080"]
    with subprocess.Popen(words, cwd=network.folder, stdout=subprocess.PIPE, text=True) as exposing:
        try:
            assert exposing.stdout is not None
            # The document ends with the line that is its last brace; the command goes on.
            told = json.loads("".join(iter(exposing.stdout.readline, "}\n")) + "}")
            host, url = told["origin"].removeprefix("http://"), f"http://127.0.0.1:{port}/there"
            stranger = httpx.get(url, headers={"Host": host}, timeout=60)
            bearer = {"Host": host, "Authorization": f"Bearer {told['token']}"}
            got = eventually(lambda: is_there(httpx.get(url, headers=bearer, timeout=60)), "the job's service", 120)
            return stranger.status_code, got.text
        finally:
            exposing.terminate()  # not Ctrl-C's signal: who is started in a shell's background ignores it, and so do its children


def is_there(answer: httpx.Response) -> httpx.Response | None:
    """The answer, once it is the job's own."""
    return answer if answer.status_code == 200 else None


def answered(network: Network, job: str, *command: str) -> subprocess.CompletedProcess[str] | None:
    """What the command did; None while ssh finds no way."""
    done = network.bourse("exec", job, "--", *command, check=False)
    return None if done.returncode == 255 else done


def is_gone(network: Network, job: str) -> bool:
    """Whether the lease is over, and the way to it says so. Before that, and after the job, it is cut without a word."""
    network.bourse("ps")
    done = network.bourse("exec", job, "--", "true", check=False)
    return done.returncode == 255 and "job_gone" in done.stderr
