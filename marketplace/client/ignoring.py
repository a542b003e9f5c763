"""What of an input folder stays at home: what nobody wants to send, and what its ``.bourseignore`` says, in git's syntax."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from marketplace.domain.bundles import Ignored
from marketplace.domain.errors import InvalidField

IGNORE_FILE: Final = ".bourseignore"
ALWAYS: Final = (".git", "__pycache__")
"""Unless the file says otherwise: ``!.git``."""
MOST_BYTES: Final = 1 << 20


def ignored_in(folder: Path) -> Ignored:
    """What stays at home of this folder. Raise InvalidField where its file cannot be read as patterns."""
    from pathspec import GitIgnoreSpec  # slow to start, and few commands send a folder

    lines = list(ALWAYS)
    try:
        with (folder / IGNORE_FILE).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise InvalidField(IGNORE_FILE, f"must have at most {MOST_BYTES} bytes")
        lines += content.decode().splitlines()
    except FileNotFoundError:
        pass  # nothing more is ignored
    except (OSError, UnicodeDecodeError) as exc:
        raise InvalidField(IGNORE_FILE, f"cannot be read: {exc}") from exc
    try:
        patterns = GitIgnoreSpec.from_lines(lines)
    except ValueError as exc:
        raise InvalidField(IGNORE_FILE, str(exc)) from exc

    def is_ignored(name: str, is_folder: bool) -> bool:
        return patterns.match_file(f"{name}/" if is_folder else name)

    return is_ignored
