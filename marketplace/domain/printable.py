"""Text from outside on its way to somebody's screen: logs, reasons, names, descriptions, whatever a stranger could have written.

A terminal obeys what is in a text: it sets titles and clipboards (OSC 52), moves over what was written, hides it, turns its direction
round. Everything that is an order and not a letter is shown as a sign for itself, one for one, so that tables keep their columns.
"""

from __future__ import annotations

_PICTURES = 0x2400
"""Where Unicode has a picture of each control character: ESC is ␛."""
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""With these a line reads otherwise than it is (trojan source)."""
_INVISIBLE = (
    0x00AD,
    0x180E,
    *range(0x200B, 0x200E),
    *range(0x2060, 0x2066),
    *range(0x206A, 0x2070),
    0xFEFF,
    *range(0xFFF9, 0xFFFC),
)
_ENDS = (0x2028, 0x2029)
"""Ends of lines and of paragraphs, for some."""

_LINES: dict[int, str] = {
    **{code: chr(_PICTURES + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\N{SYMBOL FOR DELETE}",
    **dict.fromkeys((*range(0x80, 0xA0), *_DIRECTIONS, *_INVISIBLE, *_ENDS, *range(0xD800, 0xE000)), _UNKNOWN),
    **dict.fromkeys(range(0xE0000, 0xE0080), _UNKNOWN),  # tags: a text within the text
}
_ONE_LINE = _LINES | {ord("\n"): " ", ord("\t"): " "}


def harmless(text: str) -> str:
    """The text with its lines, and nothing that a terminal would obey. A lone carriage return, which overwrites a line, begins one."""
    if text.isascii() and text.isprintable():
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_LINES)


def harmless_line(text: str) -> str:
    """The same as one line: what is said within a sentence of ours cannot begin one of its own."""
    return text.replace("\r\n", " ").replace("\r", " ").translate(_ONE_LINE)


def harmless_json(written: str) -> str:
    """A JSON document, written by us, whose strings keep what they hold, escaped: it reads as the same document."""
    return written.translate(_ESCAPED)


def _escape(code: int) -> str:
    """As JSON writes it: beyond the first 65,536 as a pair of surrogates."""
    units = chr(code).encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


_ESCAPED = {code: _escape(code) for code in _LINES}
