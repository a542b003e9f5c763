"""Keys at rest: a keystore v3 file and a password file, both readable by their owner only."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from eth_account import Account

from marketplace.chain.signing import Key
from marketplace.domain.errors import ConfigError

OWNER_ONLY = 0o600
SCRYPT_WORK_FACTOR = 2**18
"""geth's own; about a second per try. Keys that are worth nothing may use less."""


def load_key(keystore: Path, password_file: Path) -> Key:
    """Read a key. Raises ConfigError, with the remedy, when a file is missing, open to others, or does not fit."""
    content = _read_private(keystore)
    password = _password_in(_read_private(password_file))
    try:
        return Key(bytes(Account.decrypt(json.loads(content), password)))
    except (ValueError, KeyError, TypeError) as exc:
        # eth-keyfile says ValueError for a wrong password, and any of the three for a file that is no keystore.
        raise ConfigError([f"{keystore} cannot be opened with the password in {password_file}: {exc}"]) from None


def create_key(
    keystore: Path,
    password_file: Path,
    *,
    private_key: bytes | None = None,
    work_factor: int = SCRYPT_WORK_FACTOR,
) -> Key:
    """Write a new key (or the given one), never over an existing file.

    A missing password file is made with a random password. ``work_factor`` is scrypt's n, a power of two.
    """
    if keystore.exists():
        raise ConfigError([f"{keystore} exists already; a key is never overwritten"])
    if not password_file.exists():
        _write_private(password_file, secrets.token_urlsafe(32) + "\n")
    secret = private_key or secrets.token_bytes(32)
    password = _password_in(_read_private(password_file))
    encrypted = Account.encrypt(secret, password, kdf="scrypt", iterations=work_factor)
    _write_private(keystore, json.dumps(encrypted, sort_keys=True) + "\n")
    return Key(secret)


def _password_in(content: str) -> str:
    return content.removesuffix("\n").removesuffix("\r")


def _read_private(path: Path) -> str:
    try:
        others = path.stat().st_mode & 0o077
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError([f"{path} cannot be read: {exc}"]) from None
    if others:
        raise ConfigError([f"{path} can be read by others; run: chmod 600 {path}"])
    return content


def _write_private(path: Path, content: str) -> None:
    """Write a new file that was never readable by others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except OSError as exc:
        raise ConfigError([f"{path} cannot be written: {exc}"]) from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
