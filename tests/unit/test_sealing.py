"""Sealed jobs: what a key opens, what it does not, and what the documents show to whoever has none."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from marketplace.domain.canonical import canonical_json, parse_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.ids import sha256_of
from marketplace.domain.limits import most_sealed_bytes
from marketplace.domain.spec import Machine, read_machine
from marketplace.domain.work import Work, read_work
from marketplace.sealing import (
    SealedFile,
    new_identity,
    open_work,
    recipient_of,
    seal,
    seal_into,
    seal_work,
    unseal,
    unseal_into,
)

KEY = new_identity()
CONTENT = bytes(range(256)) * 1024
WORK = Work(("python", "secret.py"), "ab" * 32, {"TOKEN": "hunter2"})


def sealed(content: bytes) -> bytes:
    stream = io.BytesIO()
    seal_into((content[at : at + 1000] for at in range(0, len(content), 1000)), stream, recipient_of(KEY))
    return stream.getvalue()


def test_a_stream_comes_back_as_it_went_in() -> None:
    """Of any length, in pieces of any size, and never longer than its bound."""
    for content in (b"", b"x", CONTENT):
        opened = io.BytesIO()
        unseal_into(io.BytesIO(sealed(content)), opened, KEY, "input")

        assert opened.getvalue() == content
        assert len(content) < len(sealed(content)) <= most_sealed_bytes(len(content))


@pytest.mark.parametrize("harm", [lambda c: c[:-1], lambda c: c[: 1 << 17], lambda c: c[:9], lambda c: c[:-1] + b"?"])
def test_what_was_cut_short_or_changed_is_refused(harm: object) -> None:
    """A typed error that names what it is of, however late it shows."""
    with pytest.raises(InvalidField, match="input"):
        unseal_into(io.BytesIO(harm(sealed(CONTENT))), io.BytesIO(), KEY, "input")  # type: ignore[operator]


def test_another_key_opens_nothing() -> None:
    """Neither a stream nor small content."""
    with pytest.raises(InvalidField):
        unseal_into(io.BytesIO(sealed(CONTENT)), io.BytesIO(), new_identity(), "input")
    with pytest.raises(InvalidField):
        unseal(seal(b"key", recipient_of(KEY)), new_identity(), "key")

    assert unseal(seal(b"key", recipient_of(KEY)), KEY, "key") == b"key"


def test_what_a_file_says_while_it_is_sealed_is_raised_as_it_is() -> None:
    """A file that changed under our hands is named, not hidden behind the cipher's words."""

    def changing() -> Iterator[bytes]:
        yield b"begun"
        raise InvalidField("a.bin", "changed while it was being bundled")

    with pytest.raises(InvalidField, match=r"a\.bin"):
        seal_into(changing(), io.BytesIO(), recipient_of(KEY))


def test_a_sealed_file_is_cut_as_a_bundle_is() -> None:
    """Its parts, one after the other, are the file, and are named by their hashes."""
    content = sealed(CONTENT)
    file = SealedFile(io.BytesIO(content))

    assert b"".join(file.pieces()) == content
    assert file.bytes == len(content)
    cut = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    assert file.parts(65536) == tuple(map(sha256_of, cut))
    assert b"".join(file.pieces(65536, 2 * 65536)) == cut[1]


def test_sealed_work_shows_no_command_and_opens_to_the_same() -> None:
    """A gateway reads what it must know of the work; command and environment are for the key."""
    content = seal_work(WORK, recipient_of(KEY)).canonical()
    read = read_work(content)

    assert (read.command, read.env, read.outputs) == ((), {}, WORK.outputs)
    assert b"secret" not in content
    assert b"hunter2" not in content
    opened = open_work(read, KEY)
    assert (opened.command, opened.env) == (WORK.command, WORK.env)
    assert opened.canonical() == content


def test_sealed_work_is_read_strictly() -> None:
    """No command beside a sealed one, no recipient that is none, and nothing sealed that is no command."""
    document = parse_json(seal_work(WORK, recipient_of(KEY)).canonical(), field="work")
    with pytest.raises(InvalidField, match=r"work\.command"):
        read_work(canonical_json({**document, "command": ["true"]}))
    with pytest.raises(InvalidField, match=r"work\.sealed\.recipient"):
        read_work(canonical_json({**document, "sealed": {**document["sealed"], "recipient": "age1nobody"}}))
    empty = {**document["sealed"], "content": seal(b'{"command":[],"env":{}}', recipient_of(KEY))}
    with pytest.raises(InvalidField, match=r"work\.command"):
        open_work(read_work(canonical_json({**document, "sealed": empty})), KEY)


def test_a_machine_says_to_whom_keys_are_sealed_or_nothing() -> None:
    """The recipient is part of what the hash on the chain names; one that is none is refused."""
    plain = Machine("eu", "RTX4090", 24_576, 1, 8, 65_536, 100_000)
    named = Machine("eu", "RTX4090", 24_576, 1, 8, 65_536, 100_000, recipient=recipient_of(KEY))

    assert read_machine(plain.canonical()) == plain
    assert read_machine(named.canonical()) == named
    assert named.sha256 != plain.sha256
    with pytest.raises(InvalidField, match=r"machine\.recipient"):
        read_machine(canonical_json({**parse_json(plain.canonical(), field="machine"), "recipient": "age1nobody"}))
