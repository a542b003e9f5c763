"""What tests of the engine share beside ``markets`` and ``wild``."""

from __future__ import annotations

import pytest


@pytest.fixture
def small_books_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Former seats count in every shard, not in large ones only, so that small markets show what becomes of them."""
    monkeypatch.setattr("scheduler.engine.clear.LARGE", 1)
