"""Secrets in the sandbox: files in memory that the job reads, and that are nowhere else."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

from marketplace.provider.executors.cgroups import find_cgroups
from marketplace.provider.executors.entrance import Program
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, await_log, executor_at, prepared, run

LOOKING = """
import json, os
seen = {}
for name in sorted(os.listdir('/job/secrets')):
    path = '/job/secrets/' + name
    seen[name] = [open(path, 'rb').read().decode('latin-1'), oct(os.stat(path).st_mode & 0o777), os.stat(path).st_uid == os.getuid()]
refused = []
for attempt in (lambda: open('/job/secrets/new', 'w'), lambda: os.chmod(path, 0o666), lambda: os.remove(path), lambda: open(path, 'w')):
    try:
        attempt()
    except OSError:
        refused.append(True)
mounts = [line.split()[2] for line in open('/proc/mounts') if line.split()[1] == '/job/secrets']
print(json.dumps([seen, refused, mounts, os.environ.get('TOKEN')]))
"""


def test_a_job_reads_its_secrets_and_changes_none(tmp_path: Path) -> None:
    """Mode 0400, the job's own, in memory, read-only; in no environment, and not in what the executor writes down."""
    executor = executor_at(tmp_path, find_cgroups())
    secrets = {"BYTES": bytes(range(1, 256)), "TOKEN": b"hush-value"}
    ran = run(executor, replace(prepared(tmp_path, "python", "-c", LOOKING), secrets=secrets))
    seen, refused, mounts, variable = json.loads(ran.log)

    assert seen == {name: [value.decode("latin-1"), "0o400", True] for name, value in secrets.items()}
    assert (refused, mounts, variable) == ([True] * 4, ["tmpfs"], None)
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != ran.request.log]
    assert files
    assert [path for path in files if b"hush-value" in path.read_bytes()] == []
    assert not (ran.request.folder / "secrets").exists()


def test_secrets_stay_with_a_job_that_is_adopted(tmp_path: Path) -> None:
    """The next agent has none of them, and the job goes on with its own; without any, there is no folder of them."""
    executor = executor_at(tmp_path, find_cgroups())
    script = "echo up; while [ ! -e /job/in/go ]; do sleep 0.05; done; cat /job/secrets/TOKEN"
    request = replace(prepared(tmp_path, "sh", "-c", script), secrets={"TOKEN": b"hush-value"})
    first = executor.start(request)
    await_log(request, first)
    first.leave()
    adopted = executor_at(tmp_path, find_cgroups()).adopt(request.lease)
    assert adopted is not None
    assert adopted.request.secrets == {}
    session = adopted.entrance().run(Program(line="cat /job/secrets/TOKEN"))
    with open(session.pipes[1], "rb", closefd=False) as stream:
        assert stream.read() == b"hush-value"
    session.close()
    for handle in session.pipes:
        os.close(handle)
    (request.inputs / "go").touch()
    result = adopted.wait(PATIENCE_SECONDS)

    assert result is not None
    assert result.exit_code == 0
    assert request.log.read_text() == "up\nhush-value"
    assert run(executor, prepared(tmp_path, "sh", "-c", "ls -d /job/secrets")).result.exit_code == 2
