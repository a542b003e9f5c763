"""Whose the GPUs of a machine are, among its agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.errors import ConfigError
from marketplace.provider.gpus import GpuLocks, locks_folder

NAMES = ("GPU-aaaa", "GPU-bbbb", "GPU-cccc")


def agent(folder: Path, holder: str = "process 1, /home/a") -> GpuLocks:
    return GpuLocks(folder / "locks", NAMES, holder)


def test_two_agents_do_not_rent_out_one_gpu(tmp_path: Path) -> None:
    """Both count from GPU 0: the second is told which GPU, who has it, and what to write; and takes none of the others."""
    first, second, third = (agent(tmp_path, f"process {number}, /home") for number in (1, 2, 3))
    first.hold([1])
    with pytest.raises(ConfigError, match=r"GPU 1 of this machine .*process 1, /home.*gpus = "):
        second.hold([0, 1])
    third.hold([0, 2])

    for one in (first, second, third):
        one.close()


def test_a_gpu_is_free_again_when_its_agent_ends(tmp_path: Path) -> None:
    """The lock goes with it; holding what one holds changes nothing."""
    first, second = agent(tmp_path), agent(tmp_path)
    first.hold([0])
    first.hold([0, 1])
    first.close()

    second.hold([0, 1])
    second.close()


def test_declared_gpus_that_are_not_there_are_nobodys(tmp_path: Path) -> None:
    """The driver shows three: the rest is an inventory's word, and as many agents as like may declare it."""
    first, second = agent(tmp_path), agent(tmp_path)
    first.hold([3, 4])
    second.hold([3, 4])

    assert not list((tmp_path / "locks").iterdir()) if (tmp_path / "locks").exists() else True


def test_agents_of_all_users_look_in_one_place(tmp_path: Path) -> None:
    """Anybody may put a lock there, nobody takes away another's, and all may read them."""
    locks = agent(tmp_path)
    locks.hold([0])

    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "locks" / "GPU-aaaa.lock").stat().st_mode & 0o444 == 0o444
    assert locks_folder().parent.is_dir()
    locks.close()
