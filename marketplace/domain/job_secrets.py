"""A job's secrets: values that reach the provider that serves it, sealed to that provider, and its job, as files in memory.

They are in no document: the work names them, and binds them by a hash that is salted with what nobody but the provider is
told, so that a short value cannot be guessed and nobody on the way can put another in its place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Sha256, sha256, sha256_of
from marketplace.domain.json_reader import Reader
from marketplace.domain.limits import MAX_SECRET_BYTES, MAX_SECRETS

SECRETS_AT = "/job/secrets"
"""Where a job finds a file for each, with its name."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SALT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SecretNames:
    """What the work says of a job's secrets: their names, sorted, and the hash that binds their values."""

    names: tuple[str, ...]
    sha256: Sha256


@dataclass(frozen=True, slots=True)
class JobSecrets:
    """A job's secrets with their values, which no representation of it shows."""

    values: Mapping[str, bytes] = field(repr=False)
    salt: str = field(repr=False)
    """64 hex digits that the client draws at random."""

    def __post_init__(self) -> None:
        """Raise InvalidField for names that are none, and for more than a job may have."""
        _check_names(self.values, "secrets")
        if sum(map(len, self.values.values())) > MAX_SECRET_BYTES:
            raise InvalidField("secrets", f"must have at most {MAX_SECRET_BYTES} bytes in all")

    def document(self) -> dict[str, object]:
        """As it is handed over."""
        return {"salt": self.salt, "values": {name: base64.b64encode(v).decode() for name, v in self.values.items()}}

    @property
    def named(self) -> SecretNames:
        """What the work says of them."""
        return SecretNames(tuple(sorted(self.values)), sha256_of(canonical_json(self.document())))


@dataclass(frozen=True, slots=True)
class Entrusted:
    """What a client hands to the provider that serves its job: the key of a sealed one, and secrets."""

    key: str | None = field(repr=False)
    secrets: JobSecrets | None = None

    def content(self) -> bytes:
        """What is sealed to the provider. A key alone stands as it is."""
        if self.secrets is None:
            return (self.key or "").encode()
        return canonical_json({"key": self.key or "", "secrets": self.secrets.document()})


def read_entrusted(content: bytes) -> Entrusted:
    """Read what was handed over; raise InvalidField, which repeats none of it."""
    if not content.startswith(b"{"):
        return Entrusted(content.decode("ascii", "replace"))
    reader = Reader(parse_json(content, field="key"), "key")
    key = reader.take("key", str)
    inner = Reader(reader.take("secrets", dict), "key.secrets")
    salt, values = inner.take("salt", str), inner.take("values", dict)
    inner.end()
    reader.end()
    if not _SALT.fullmatch(salt):
        raise InvalidField("key.secrets.salt", "must be 64 lower-case hex digits")
    try:
        opened = {name: base64.b64decode(value, validate=True) for name, value in values.items()}
    except (TypeError, ValueError, binascii.Error):
        raise InvalidField("key.secrets.values", "must be base64") from None
    return Entrusted(key or None, JobSecrets(opened, salt))


def read_secret_names(reader: Reader) -> SecretNames | None:
    """The part ``secrets`` of a work document, if it has one."""
    value = reader.take("secrets", dict, None)
    if value is None:
        return None
    inner = Reader(value, "work.secrets")
    names = inner.texts("names", limit=MAX_SECRETS)
    found = SecretNames(names, sha256(inner.take("sha256", str), field="work.secrets.sha256"))
    inner.end()
    _check_names(names, "work.secrets.names")
    if list(names) != sorted(set(names)):
        raise InvalidField("work.secrets.names", "must be sorted, each once")
    return found


def _check_names(names: Mapping[str, bytes] | tuple[str, ...], where: str) -> None:
    if not 1 <= len(names) <= MAX_SECRETS:
        raise InvalidField(where, f"must be 1 to {MAX_SECRETS}")
    if not all(_NAME.fullmatch(name) for name in names):
        raise InvalidField(where, "must have plain names: letters, digits and _, at most 64, the first no digit")
