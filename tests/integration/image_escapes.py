"""The list of escapes, tried from where a job is not alone with the job runtime: in a container image, beside a job, and by ssh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from examples.host_image import layer_of, python_layer
from marketplace.domain.keeping import SessionTerms
from marketplace.domain.ssh import EntryRefused
from marketplace.provider.executors.attended import AttendedExecution
from marketplace.provider.executors.base import Execution, ExecutionRequest, JobImage
from marketplace.provider.executors.bubblewrap import FIRST_JOB_USER, BubblewrapExecutor
from marketplace.provider.executors.cgroups import CgroupParent
from marketplace.provider.executors.entrance import JobSession, Program
from marketplace.provider.executors.folders import hand_over
from marketplace.provider.executors.sandbox import image_user
from marketplace.provider.runtime import load_runtime
from tests.integration.bubblewrap_escapes import ATTEMPTS, all_tried, canaries, names
from tests.integration.bubblewrap_jobs import PATIENCE_SECONDS, ROOT, prepared
from tests.integration.test_enter import output
from tests.integration.test_ssh import job_by_ssh, relaying
from tests.unit.provider.image_layers import image, item, layer, unpacked

OWN_FILES: Final = {
    "see the home folder, the repository or the agent's working folder",
    "read account, host and key files",
    "write outside the job's own folders",
}
"""What these attempts find or make is the image's: it has folders of these names, and all of it is the job's to change."""
PROGRAMS: Final = ("sh", "cat", "id", "touch", "rm", "mkdir", "sleep")
Found = dict[str, str | None]


def rooted(place: Path, *layers: bytes, config: dict[str, object] | None = None) -> JobImage:
    """The layers as a job's root, belonging to whom an agent would give it."""
    root, user = unpacked(image(*layers, packed="", config=config), place, 1 << 30)
    owner = image_user(FIRST_JOB_USER)
    if owner is not None:
        hand_over((root,), owner)
    folder = str((config or {}).get("WorkingDir", "/"))
    return JobImage(root, {"FROM_IMAGE": "1", "HIDDEN": "1"}, user.uid, user.gid, user.home, folder)


def with_tools(place: Path) -> JobImage:
    """An image with a shell, Python and little else, to be run as a user of its own."""
    more = layer(item("srv/own", content=b"the image's\n"), item("home/job", "folder"))
    config: dict[str, object] = {"User": "4711", "WorkingDir": "/srv"}
    return rooted(place, layer_of(PROGRAMS), python_layer(), more, config=config)


class ImageExecutor(BubblewrapExecutor):
    """Runs whatever it is given in one image."""

    def __init__(self, place: Path, cgroups: CgroupParent | None, used: JobImage) -> None:
        super().__init__(load_runtime(ROOT / ".runtime"), records=place / "records", cgroups=cgroups)
        self._used = used

    def start(self, request: ExecutionRequest) -> AttendedExecution:
        return super().start(replace(request, image=self._used))


def foreign(found: Mapping[str, str | None]) -> Found:
    """What was found from an image, without what is the image's own."""
    return {name: None if name in OWN_FILES else how for name, how in found.items()}


def tried_in_image(place: Path, cgroups: CgroupParent | None) -> Found:
    """Every way on the list, and every bomb, in an image."""
    return foreign(all_tried(ImageExecutor(place, cgroups, with_tools(place / "image")), cgroups, place))


def tried_beside(executor: BubblewrapExecutor, place: Path) -> Found:
    """Every attempt by what has entered a session that does nothing. (Bombs count as its job's: see the tests of the entrance.)"""
    with canaries(place) as facts:
        files = {"attempts.py": ATTEMPTS.read_text(), "facts.json": json.dumps(facts)}
        request = replace(prepared(place, "true", files=files), command=(), session=SessionTerms())
        execution = executor.start(request)
        try:
            session = entered(execution, Program(words=("sh", "-c", "cd /job/in && exec python3 attempts.py")))
            _, error, code = output(session)
        finally:
            executor.reap(request.lease)
            execution.leave()
        assert code == 0, error
    return report_of(request)


def tried_by_ssh(place: Path) -> Found:
    """Every attempt by somebody who sits at a session's machine."""
    with relaying() as (url, relay), canaries(place) as facts, job_by_ssh(url, relay, place, server="") as reached:
        (reached.request.inputs / "attempts.py").write_text(ATTEMPTS.read_text())
        (reached.request.inputs / "facts.json").write_text(json.dumps(facts))
        done = reached.ssh("python attempts.py")
        assert done.returncode == 0, done.stderr
        return report_of(reached.request)


def entered(execution: Execution, program: Program) -> JobSession:
    """The program in the job's sandbox, as soon as that is made."""
    for _ in range(PATIENCE_SECONDS * 10):
        try:
            return execution.entrance().run(program)
        except EntryRefused:
            if execution.wait(0.1) is not None:
                raise
    raise AssertionError("the sandbox is not made")


def report_of(request: ExecutionRequest) -> Found:
    """What the attempts have written down, every one of them."""
    found: Found = json.loads((request.inputs / "report.json").read_text())
    assert found.keys() >= set(names())
    return found
