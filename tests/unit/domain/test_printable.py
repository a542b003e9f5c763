"""What strangers wrote cannot order a terminal about."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from rich.console import Console
from rich.table import Table

from marketplace.cli.screen import Harmless, json_text
from marketplace.domain.printable import harmless, harmless_line

ORDERS = {
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "title": "\x1b]0;root@bank\x07",
    "title in eight bits": "\x9d0;root@bank\x9c",
    "screen": "\x1b[2J\x1b[H",
    "colour in eight bits": "\x9b31m",
    "over the line": "refused\rtaken  ",
    "backwards": "ab\x08\x08\x7f",
    "direction": "safe\u202egnp.exe\u2066\u2069\u200f\u061c",
    "hidden": "pay\u200bpal\ufeff\u2060\u00ad",
    "tags": "ok\U000e0041\U000e007f",
    "line ends": "one\u2028two\u2029three\x0b\x0c\x85",
    "surrogates": "\ud800",
}
SAFE = "epoch 1 → loss 0.5\n\tdone · ✓ żółć 漢字 🚀 e\u0301"


@pytest.mark.parametrize("text", ORDERS.values(), ids=ORDERS.keys())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    """No control, format or private order survives; lines are the only exception, and not within one line."""
    for told, allowed in ((harmless(text), "\n\t"), (harmless_line(text), "")):
        assert not [
            letter
            for letter in told
            if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in allowed
        ]


def test_what_is_harmless_stays_as_it_is() -> None:
    """Letters of all languages, tabs and lines."""
    assert harmless(SAFE) == SAFE
    assert harmless("50 %\r100 %\r\nend") == "50 %\n100 %\nend"
    assert harmless_line("a\nbourse: all is well\r\nb") == "a bourse: all is well b"


@pytest.mark.parametrize("text", ORDERS.values(), ids=ORDERS.keys())
def test_a_document_says_the_same_and_orders_nothing(text: str) -> None:
    """--json keeps every letter, escaped where a terminal would obey it."""
    written = json_text({"log": text, "safe": SAFE})

    assert json.loads(written) == {"log": text, "safe": SAFE}
    assert harmless(written) == written


@pytest.mark.parametrize("text", [*ORDERS.values(), "[red]x[/red] [link=https://evil]y[/link] :bomb:"])
def test_tables_print_what_strangers_wrote_and_obey_none_of_it(text: str) -> None:
    """Neither a terminal's orders nor rich's own markup; our colours stay."""
    screen = io.StringIO()
    printed = Console(file=screen, force_terminal=True, width=100, markup=False, emoji=False)
    table = Table("name")
    table.add_row(text)

    printed.print(Harmless(table))

    told = screen.getvalue()
    for ours in ("\x1b[1m", "\x1b[0m", "\n"):
        told = told.replace(ours, "")
    assert harmless_line(told) == told
    assert "\x1b[31m" not in told
