"""Where the bytes of a secret come from, and when they are not those that a job was ordered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.client.secret_values import secret_in
from marketplace.domain.errors import InvalidField
from marketplace.domain.limits import MAX_SECRET_BYTES


def test_a_secrets_file_is_read_as_it_is_and_no_further_than_it_may_be_long(tmp_path: Path) -> None:
    """To the last byte; one that is longer, or not there, is named by its secret."""
    file = tmp_path / "token"
    file.write_bytes(b"\xff" * MAX_SECRET_BYTES)
    assert secret_in("TOKEN", file) == b"\xff" * MAX_SECRET_BYTES

    file.write_bytes(b"\xff" * (MAX_SECRET_BYTES + 1))
    for bad in (file, tmp_path / "other"):
        with pytest.raises(InvalidField) as caught:
            secret_in("TOKEN", bad)
        assert caught.value.field == "secrets.TOKEN"
