"""An agent's own key, and what it opens with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import pytest

from marketplace.api.client.gateway import GatewayApi
from marketplace.domain.ids import Bytes32
from marketplace.domain.job_secrets import Entrusted, JobSecrets
from marketplace.domain.spec import JobSpec
from marketplace.domain.units import UnixTime
from marketplace.domain.work import Assignment, Work
from marketplace.provider.home import AgentHome, ServingFolder
from marketplace.provider.preflight import Obstacle, ObstacleReason
from marketplace.provider.unsealing import Unsealer, identity_in, recipient_in
from marketplace.sealing import new_identity, recipient_of, seal, seal_work

LEASE = Bytes32("0x" + "11" * 32)
WORK = Work(("python", "train.py"), "ab" * 32, {"TOKEN": "hush"})


@dataclass
class Carrier:
    """Says one thing when it is asked for a key, and counts how often that was."""

    key: str
    asked: int = 0

    def job_key(self, lease: Bytes32) -> str:
        self.asked += 1
        return self.key


@pytest.fixture
def folder(tmp_path: Path) -> ServingFolder:
    home = AgentHome(tmp_path)
    folder = home.serving(LEASE, UnixTime(1))
    folder.make()
    home.close()
    return folder


def opened(carrier: Carrier, work: Work, folder: ServingFolder, *, is_published: bool = True) -> Work | Obstacle:
    found = entrusted(carrier, work, folder, is_published=is_published)
    return found.work if isinstance(found, Assignment) else found


def entrusted(
    carrier: Carrier, work: Work, folder: ServingFolder, *, is_published: bool = True
) -> Assignment | Obstacle:
    unsealer = Unsealer(folder.path.parents[1], is_published)
    return unsealer.opened(cast(GatewayApi, carrier), LEASE, Assignment(JobSpec(work.name), work), folder)


def test_an_agent_keeps_one_key_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Made the first time, in a file of mode 0600; the same ever after."""
    identity = identity_in(tmp_path / "home")

    assert identity_in(tmp_path / "home") == identity
    assert recipient_in(tmp_path / "home") == recipient_of(identity)
    assert (tmp_path / "home" / "identity").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["identity"]


def test_what_is_handed_over_opens_the_work_and_is_kept(folder: ServingFolder, tmp_path: Path) -> None:
    """The second time, after a restart, nobody is asked for it; only its owner reads it."""
    key = new_identity()
    sealed, carrier = seal_work(WORK, recipient_of(key)), Carrier(seal(key.encode(), recipient_in(tmp_path)))

    for _ in range(2):
        found = opened(carrier, sealed, folder)
        assert isinstance(found, Work)
        assert (found.command, found.env) == (WORK.command, WORK.env)
    assert carrier.asked == 1
    assert folder.job_key.stat().st_mode & 0o777 == 0o600


def test_a_key_that_does_not_fit_is_not_kept_and_may_still_come(folder: ServingFolder, tmp_path: Path) -> None:
    """Rubbish, another agent's, or another job's: the word of whoever carried it, and asked for again."""
    key, recipient = new_identity(), recipient_in(tmp_path)
    sealed = seal_work(WORK, recipient_of(key))
    for carried in (
        "rubbish", seal(key.encode(), recipient_of(new_identity())), seal(new_identity().encode(), recipient), seal(b"no key", recipient),
    ):  # fmt: skip
        found = opened(Carrier(carried), sealed, folder)
        assert isinstance(found, Obstacle)
        assert found.reason is ObstacleReason.KEY_NOT_DELIVERED
        assert not folder.job_key.exists()


def test_an_agent_whose_machine_names_no_recipient_says_so(folder: ServingFolder) -> None:
    """No client could hand it a key: that is about the pair, and no reason to wait. Work that is not sealed is nobody's question."""
    carrier = Carrier("")
    found = opened(carrier, seal_work(WORK, recipient_of(new_identity())), folder, is_published=False)

    assert isinstance(found, Obstacle)
    assert found.reason is ObstacleReason.SEALED_NOT_SUPPORTED
    assert found.reason.is_about_pair
    assert opened(carrier, WORK, folder, is_published=False) is WORK
    assert carrier.asked == 0


def test_secrets_arrive_with_the_key_and_are_not_kept(folder: ServingFolder, tmp_path: Path) -> None:
    """Those that the work names, with or without a key; nothing on the disk has them, and a second agent asks for them again."""
    key, secrets = new_identity(), JobSecrets({"TOKEN": b"hush-value"}, "ab" * 32)
    plain = replace(WORK, secrets=secrets.named)
    for work, held in ((plain, None), (seal_work(plain, recipient_of(key)), key)):
        carrier = Carrier(seal(Entrusted(held, secrets).content(), recipient_in(tmp_path)))
        for _ in range(2):
            found = entrusted(carrier, work, folder)
            assert isinstance(found, Assignment)
            assert found.secrets is not None
            assert (found.work.command, found.secrets.values) == (WORK.command, {"TOKEN": b"hush-value"})
        assert carrier.asked == 2
    assert not any(b"hush-value" in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "hush-value" not in repr(found)


def test_secrets_that_the_work_does_not_name_are_refused(folder: ServingFolder, tmp_path: Path) -> None:
    """Another value, a key without secrets, rubbish: whoever carried it may have put it there, and the right one may still come."""
    secrets, recipient = JobSecrets({"TOKEN": b"right"}, "ab" * 32), recipient_in(tmp_path)
    work = replace(WORK, secrets=secrets.named)
    contents = (
        Entrusted(None, JobSecrets({"TOKEN": b"wrong"}, secrets.salt)).content(), Entrusted(None, JobSecrets({"TOKEN": b"right"}, "cd" * 32)).content(),
        Entrusted(new_identity()).content(), b"{", b'{"key":"","secrets":{"salt":"","values":{}}}',
    )  # fmt: skip
    for content in contents:
        found = entrusted(Carrier(seal(content, recipient)), work, folder)
        assert isinstance(found, Obstacle)
        assert found.reason is ObstacleReason.KEY_NOT_DELIVERED
    found = entrusted(Carrier(""), work, folder, is_published=False)
    assert isinstance(found, Obstacle)
    assert found.reason is ObstacleReason.SEALED_NOT_SUPPORTED
