"""Keys at rest."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from eth_account import Account

from marketplace.chain.keystore import create_key, load_key
from marketplace.domain.errors import ConfigError

FAST = 2
SECRET = b"\x2a" * 32


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "keys" / "client.json", tmp_path / "keys" / "client.password"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_key_and_its_password_are_for_their_owner_only(files: tuple[Path, Path]) -> None:
    """Both files are 0600, and the key read back is the key that was made."""
    made = create_key(*files, work_factor=FAST)

    assert [mode_of(path) for path in files] == [0o600, 0o600]
    assert load_key(*files).address == made.address


def test_a_given_key_is_kept_as_a_keystore_that_other_tools_read(files: tuple[Path, Path]) -> None:
    """It is keystore v3, and the secret stands in neither file."""
    create_key(*files, private_key=SECRET, work_factor=FAST)
    content = files[0].read_text()

    assert bytes(Account.decrypt(json.loads(content), files[1].read_text().strip())) == SECRET
    assert SECRET.hex() not in content


def test_random_keys_differ(tmp_path: Path) -> None:
    """Two keys made one after the other have nothing in common."""
    addresses = {create_key(tmp_path / f"{n}.json", tmp_path / "password", work_factor=FAST).address for n in range(3)}

    assert len(addresses) == 3


def test_a_key_is_never_overwritten(files: tuple[Path, Path]) -> None:
    """Making a key where one lies changes nothing."""
    create_key(*files, work_factor=FAST)
    before = [path.read_bytes() for path in files]

    with pytest.raises(ConfigError, match="never overwritten"):
        create_key(*files, work_factor=FAST)
    assert [path.read_bytes() for path in files] == before


@pytest.mark.parametrize("which", [0, 1])
def test_a_file_that_others_may_read_is_refused(files: tuple[Path, Path], which: int) -> None:
    """The error says what to do about it."""
    create_key(*files, work_factor=FAST)
    files[which].chmod(0o640)

    with pytest.raises(ConfigError, match="chmod 600"):
        load_key(*files)


def test_a_wrong_password_is_refused_without_showing_it(files: tuple[Path, Path]) -> None:
    """Neither the right nor the wrong password is in the error."""
    create_key(*files, private_key=SECRET, work_factor=FAST)
    right = files[1].read_text().strip()
    files[1].write_text("wrong horse\n")

    with pytest.raises(ConfigError, match="cannot be opened") as raised:
        load_key(*files)
    assert right not in str(raised.value)
    assert "wrong horse" not in str(raised.value)


@pytest.mark.parametrize("content", ["", "not json", "[]", "{}", '{"version": 3, "crypto": {}}'])
def test_a_file_that_is_no_keystore_is_refused(files: tuple[Path, Path], content: str) -> None:
    """Whatever is in it, the error names the file."""
    create_key(*files, work_factor=FAST)
    files[0].write_text(content)

    with pytest.raises(ConfigError, match=r"client\.json"):
        load_key(*files)


def test_a_missing_file_is_named(files: tuple[Path, Path]) -> None:
    """The error names the path that is not there."""
    with pytest.raises(ConfigError, match=r"client\.json cannot be read"):
        load_key(*files)
