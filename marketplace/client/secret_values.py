"""The values of jobs' secrets, on the client's side: in memory from the signing on, and never in the journal.

The journal holds what binds them (their salt) and where they came from. So another process, or the same one after a
restart, hands them over, too, where it finds the same values again: in the file, or in the variable of the secret's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import Bytes32
from marketplace.domain.job_secrets import JobSecrets, SecretNames
from marketplace.domain.limits import MAX_SECRET_BYTES
from marketplace.domain.work import read_work


class SecretKeeper:
    """Knows, for each job of an account, its secrets, or where they are to be found. ``variables``: of this process's environment."""

    def __init__(self, book: JobJournal, variables: Mapping[str, str]) -> None:
        self._book, self._variables = book, variables
        self._known: dict[Bytes32, JobSecrets] = {}

    def keep(self, job: Bytes32, secrets: JobSecrets) -> None:
        """Remember them for as long as this process lives."""
        self._known[job] = secrets

    def of(self, order: KeptOrder) -> JobSecrets | None:
        """The secrets of the order's job; None: it has none. Raises InvalidField, which says what is not to be found any more."""
        named = read_work(order.work).secrets
        if named is None:
            return None
        if order.job not in self._known:
            self._known[order.job] = self._found(order.job, named)
        return self._known[order.job]

    def _found(self, job: Bytes32, named: SecretNames) -> JobSecrets:
        salt, files = self._book.secret_sources(job)
        values = {name: self._value(name, files.get(name)) for name in named.names}
        found = JobSecrets(values, salt)
        if found.named != named:
            raise InvalidField("secrets", "are not those that the job was ordered with: a value has changed")
        return found

    def _value(self, name: str, file: str | None) -> bytes:
        if file is not None:
            return secret_in(name, Path(file))
        if name not in self._variables:
            raise InvalidField(f"secrets.{name}", f"is not known here: set the variable {name}")
        return self._variables[name].encode("utf-8", "surrogateescape")


def secret_in(name: str, file: Path) -> bytes:
    """The bytes of a secret's file, as they are. Raises InvalidField."""
    try:
        with file.open("rb") as stream:
            value = stream.read(MAX_SECRET_BYTES + 1)
    except OSError as exc:
        raise InvalidField(f"secrets.{name}", f"{file} cannot be read: {exc.strerror}") from exc
    if len(value) > MAX_SECRET_BYTES:
        raise InvalidField(f"secrets.{name}", f"{file} has more than {MAX_SECRET_BYTES} bytes")
    return value
