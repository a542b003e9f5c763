"""Public keys of OpenSSH: two words of a kind that is known, and nothing that names people or goes on another line."""

from __future__ import annotations

import pytest

from marketplace.domain.errors import InvalidField
from marketplace.domain.ssh import MOST_SSH_KEY_LETTERS, EntryReason, EntryRefused, checked_ssh_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPcE8xQbX0m1o4mI0lFZ0v4oG1Yw2n8g9yK5dR0o3b7c"
LONGEST = "ssh-rsa " + "A" * (MOST_SSH_KEY_LETTERS - len("ssh-rsa "))


@pytest.mark.parametrize("line", [KEY, LONGEST, "ecdsa-sha2-nistp256 AAAA==", "sk-ssh-ed25519@openssh.com AAAA"])
def test_a_key_is_taken_as_it_is(line: str) -> None:
    """Of every kind that OpenSSH makes, up to the longest."""
    assert checked_ssh_key(line, "key") == line


@pytest.mark.parametrize(
    "line", ["", KEY + " me@home", KEY + "\n", "ssh-dss AAAA", "ssh-ed25519", 'command="sh" ' + KEY, LONGEST + "A"]
)
def test_anything_else_is_no_key(line: str) -> None:
    """A comment, options, another line, another kind, one letter too many."""
    with pytest.raises(InvalidField, match="key: must be a public key"):
        checked_ssh_key(line, "key")


def test_a_no_has_its_reason() -> None:
    """A word that programs know, and words for people."""
    refused = EntryRefused(EntryReason.NO_SSH, "no key")

    assert (refused.reason, str(refused)) == ("no_ssh", "no_ssh: no key")
