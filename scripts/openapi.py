"""Writes the gateway's OpenAPI to a file: what the page's types are made from. Asks no chain and no store."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from marketplace.gateway.app import described
from marketplace.gateway.openapi import document_of

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(document_of(described())))
