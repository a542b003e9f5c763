"""What is printed for people, made harmless on its last step before the screen: no command has to remember what came from outside."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment

from marketplace.domain.printable import harmless, harmless_json


class Harmless:
    """A table, a text, a panel: as it is, but for what a terminal would obey. Colours and widths are rich's, and ours."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._inner, options):
            yield Segment(harmless(segment.text), segment.style)


def console(*, is_error: bool = False, width: int | None = None) -> Console:
    """A console that reads no markup and no emoji names in what it prints: a link could be anywhere."""
    return Console(stderr=is_error, highlight=False, soft_wrap=is_error, width=width, markup=False, emoji=False)


def json_text(document: Any) -> str:
    """The document as it is printed: one JSON text with its letters, but for those that are orders."""
    return harmless_json(json.dumps(document, indent=2, ensure_ascii=False))
