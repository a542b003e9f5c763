"""What a job asks of its proxy: a tunnel (CONNECT), or one plain HTTP request to be passed on. Read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from marketplace.domain.egress import EgressTarget, read_target
from marketplace.domain.errors import InvalidField

MAX_HEAD_BYTES: Final = 16 * 1024

_FIRST: Final = re.compile(r"([A-Z]{1,16}) ([!-~]{1,8192}) HTTP/1\.[01]")
_FIELD: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}):([\t -~\x80-\xff]*)")
_OF_THE_PROXY: Final = frozenset({"connection", "host", "keep-alive", "te", "upgrade"})
"""Said to us, and not passed on; as is what begins with ``proxy-``."""


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """Where a job wants to, and what is said there first: nothing where it is a tunnel."""

    target: EgressTarget
    opening: bytes = b""

    @property
    def is_tunnel(self) -> bool:
        return not self.opening


def read_head(head: bytes) -> ProxyRequest:
    """Read a request's head, with the empty line at its end. Raises InvalidField."""
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    asked = _FIRST.fullmatch(first)
    fields = [_FIELD.fullmatch(line) for line in lines]
    if asked is None or not all(fields):
        raise InvalidField("request", "is not HTTP/1.1")
    if asked[1] == "CONNECT":
        return ProxyRequest(read_target(asked[2].lower(), "request"))
    target, place = _absolute(asked[2])
    kept = [f"{field[1]}:{field[2]}" for field in fields if field and _is_passed_on(field[1].lower())]
    host = target.host if target.port == 80 else str(target)
    # One request for each connection: whatever comes after it goes to the same host, and to no other.
    told = [f"{asked[1]} {place} HTTP/1.1", f"Host: {host}", *kept, "Connection: close", "", ""]
    return ProxyRequest(target, "\r\n".join(told).encode("latin-1"))


def _is_passed_on(name: str) -> bool:
    return name not in _OF_THE_PROXY and not name.startswith("proxy-")


def _absolute(url: str) -> tuple[EgressTarget, str]:
    """The host of an ``http://`` URL, and what is asked of it."""
    try:
        parts = urlsplit(url)
        port, host = parts.port or 80, parts.hostname or ""
    except ValueError:
        raise InvalidField("request", "has no usable URL") from None
    if parts.scheme != "http" or "@" in parts.netloc:
        raise InvalidField("request", "must be CONNECT, or name an http:// URL without a user")
    place = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return read_target(str(EgressTarget(host, port)), "request"), place
