"""The key with which this home's owner sits at jobs: made once, and never leaves the home."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from marketplace.domain.errors import InvalidField
from marketplace.domain.ssh import checked_ssh_key
from marketplace.private_files import OWNERS_FOLDER, owners_only

OWN_KEY: Final = Path("ssh", "id_ed25519")
"""Below ``BOURSE_HOME``; the public half is beside it, with ``.pub``."""


def own_public_key(home: Path) -> str:
    """The public half of the home's key, in two words; the key is made the first time."""
    place = home / OWN_KEY
    public = place.with_name(f"{place.name}.pub")
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=OWNERS_FOLDER)
        key = Ed25519PrivateKey.generate()
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        public.write_bytes(line + b"\n")
        with open(place, "xb", opener=owners_only) as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return public_key_in(public)


def public_key_in(file: Path) -> str:
    """A public key's two words out of a .pub file, without its comment. Raises InvalidField, OSError."""
    words = file.read_text(errors="replace").split()
    if words and words[0].startswith("-----"):
        raise InvalidField("ssh-key", f"{file} is a secret key: name the public one beside it ({file.name}.pub)")
    return checked_ssh_key(" ".join(words[:2]), "ssh-key")
