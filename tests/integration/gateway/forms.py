"""What the gateway says is what its records say: every member is there, and no other."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from marketplace.api.reading import read
from marketplace.api.record import to_json


def check_form(kind: type[Struct], told: Any) -> None:
    """Fail where the answer, read strictly and written again, is not what it was."""
    assert json.loads(to_json(read(kind, json.dumps(told).encode()))) == told
