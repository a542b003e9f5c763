"""Secrets of jobs: what is bound, what is bounded, and what never shows."""

from __future__ import annotations

import pytest

from marketplace.cli.secret_options import secrets_of
from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.job_secrets import Entrusted, JobSecrets, read_entrusted
from marketplace.domain.limits import MAX_ENTRUSTED_LETTERS, MAX_SECRET_BYTES, MAX_SECRETS
from marketplace.domain.work import Work, read_work
from marketplace.sealing import new_identity, recipient_of, seal

SECRETS = JobSecrets({"TOKEN": b"hush", "KEY_FILE": bytes(range(256))}, "ab" * 32)


def test_the_work_names_secrets_and_binds_their_values() -> None:
    """Names and a salted hash stand in the document; the same values under another salt are another hash."""
    work = Work(("train",), "ab" * 32, secrets=SECRETS.named)

    assert read_work(work.canonical()) == work
    assert SECRETS.named.names == ("KEY_FILE", "TOKEN")
    assert b"hush" not in work.canonical()
    assert JobSecrets(SECRETS.values, SECRETS.salt).named == SECRETS.named
    assert JobSecrets(SECRETS.values, "cd" * 32).named != SECRETS.named
    assert b"secrets" not in Work(("train",), "ab" * 32).canonical()


@pytest.mark.parametrize(
    "names", [[], ["B", "A"], ["A", "A"], ["../x"], ["1"], ["A" * 65], [f"A{n:02}" for n in range(17)]]
)
def test_names_that_are_none_are_refused(names: list[str]) -> None:
    """A name is a file's: plain, sorted, each once, and no more than a job may have."""
    document = parse_json(Work(("train",), "ab" * 32, secrets=SECRETS.named).canonical(), field="work")
    document["secrets"]["names"] = names
    with pytest.raises(InvalidField, match=r"work\.secrets\.names"):
        read_work(canonical_json(document))


def test_what_is_handed_over_is_read_as_it_was() -> None:
    """With a key and without, and a key alone as it always was; the largest fits where gateways keep it."""
    for given in (Entrusted("AGE-1", SECRETS), Entrusted(None, SECRETS), Entrusted("AGE-1")):
        assert read_entrusted(given.content()) == given
    largest = JobSecrets(
        {f"{'A' * 62}{n:02}": bytes(MAX_SECRET_BYTES // MAX_SECRETS) for n in range(MAX_SECRETS)}, "ab" * 32
    )
    key = new_identity()
    assert len(seal(Entrusted(key, largest).content(), recipient_of(key))) <= MAX_ENTRUSTED_LETTERS
    with pytest.raises(InvalidField):
        JobSecrets({"A": bytes(MAX_SECRET_BYTES + 1)}, "ab" * 32)


def test_no_value_is_shown() -> None:
    """Neither by what holds it, nor by what refuses it on a command line, where it may stand by mistake."""
    assert "hush" not in repr(Entrusted("hush", SECRETS))
    with pytest.raises(InvalidField) as refused:
        secrets_of(["TOKEN=hush"], {})
    assert "hush" not in str(refused.value)
    with pytest.raises(InvalidField, match="not set"):
        secrets_of(["TOKEN"], {})
    assert secrets_of(["TOKEN"], {"TOKEN": "hush"}) == {"TOKEN": b"hush"}
