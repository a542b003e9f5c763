"""Whose the GPUs of a machine are, among its agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.domain.errors import ConfigError
from marketplace.provider.gpus.locks import GpuLocks, locks_folder

A, B, C = "GPU-aaaa", "GPU-bbbb", "GPU-cccc"


def agent(folder: Path, holder: str = "process 1, /home/a") -> GpuLocks:
    return GpuLocks(folder / "locks", holder)


def test_two_agents_do_not_rent_out_one_gpu(tmp_path: Path) -> None:
    """Both want one GPU: the second is told which, who has it, and what to write; and takes none of the others."""
    first, second, third = (agent(tmp_path, f"process {number}, /home") for number in (1, 2, 3))
    first.hold([B])
    with pytest.raises(ConfigError, match=r"GPU GPU-bbbb of this machine .*process 1, /home.*gpus = "):
        second.hold([A, B])
    third.hold([A, C])

    for one in (first, second, third):
        one.close()


def test_a_gpu_is_free_again_when_its_agent_ends(tmp_path: Path) -> None:
    """The lock goes with it; holding what one holds changes nothing."""
    first, second = agent(tmp_path), agent(tmp_path)
    first.hold([A])
    first.hold([A, B])
    first.close()

    second.hold([A, B])
    second.close()


def test_declared_gpus_that_are_not_there_are_nobodys(tmp_path: Path) -> None:
    """They have numbers only: an inventory's word, and as many agents as like may declare it."""
    first, second = agent(tmp_path), agent(tmp_path)
    first.hold(["3", "4"])
    second.hold(["3", "4"])

    assert not (tmp_path / "locks").exists()


def test_agents_of_all_users_look_in_one_place(tmp_path: Path) -> None:
    """Anybody may put a lock there, nobody takes away another's, and all may read them."""
    locks = agent(tmp_path)
    locks.hold([A])

    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "locks" / f"{A}.lock").stat().st_mode & 0o444 == 0o444
    assert locks_folder().parent.is_dir()
    locks.close()
