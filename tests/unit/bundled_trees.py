"""Trees to bundle, what came of them, and archives as an attacker would write them."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Literal

from hypothesis import strategies as st

from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.bundles import Bundle, bundle_outputs, bundle_paths

LIMIT = 1 << 20

parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda part: part not in (".", "..")
)
trees = st.recursive(
    st.tuples(st.binary(max_size=1500), st.booleans()),
    lambda inner: st.dictionaries(parts, inner, max_size=4),
    max_leaves=8,
).filter(lambda tree: isinstance(tree, dict))


def plant(tree: object, at: Path) -> None:
    """Make the folder or file that the tree describes."""
    if isinstance(tree, dict):
        at.mkdir(exist_ok=True)
        for name, inner in tree.items():
            plant(inner, at / name)
    else:
        assert isinstance(tree, tuple)
        content, is_executable = tree
        at.write_bytes(content)
        at.chmod(0o755 if is_executable else 0o644)


def seen(at: Path) -> object:
    """Describe what is there in the same form."""
    if at.is_dir() and not at.is_symlink():
        return {child.name: seen(child) for child in at.iterdir()}
    return at.read_bytes(), bool(at.stat().st_mode & 0o100)


def as_inputs(root: Path, limit_bytes: int = LIMIT, limit_entries: int = 1_000) -> Bundle:
    """The folder's content as a client bundles it."""
    return bundle_paths([(child.name, child) for child in root.iterdir()], Allowance(limit_bytes, limit_entries))


def as_outputs(root: Path, limit_bytes: int = LIMIT, limit_entries: int = 1_000) -> Bundle:
    """The folder's content as an agent bundles it."""
    return bundle_outputs(root, Allowance(limit_bytes, limit_entries))


def member(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """One entry as an attacker would write it."""
    header = tarfile.TarInfo(name)
    header.size = len(content)
    for field, value in fields.items():
        setattr(header, field, value)
    return header, content


def crafted(*members: tuple[tarfile.TarInfo, bytes], archive_format: Literal[0, 1, 2] = tarfile.GNU_FORMAT) -> bytes:
    """An archive with well-formed headers and whatever content, ended as a bundle is."""
    blocks = []
    for header, content in members:
        blocks += [header.tobuf(archive_format, "utf-8", "surrogateescape"), content, bytes(-len(content) % 512)]
    return b"".join(blocks) + bytes(1024)
