"""Where a job may connect to: hosts by name or address, each with one port. A job whose spec lists none has no network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from marketplace.domain.errors import InvalidField

MAX_TARGETS = 64
MAX_EGRESS_MIB = 1 << 30

_NAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class EgressTarget:
    """One host with one port."""

    host: str
    """A name in lower case, or an address in its shortest form."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_target(text: str, field: str) -> EgressTarget:
    """``host.example:443``, ``192.0.2.1:443`` or ``[2001:db8::1]:443``, written in no other way. Raises InvalidField."""
    host, _, port = text.rpartition(":")
    if _PORT.fullmatch(port) and int(port) < 1 << 16:
        found = EgressTarget(host.removeprefix("[").removesuffix("]"), int(port))
        if str(found) == text and (_NAME.fullmatch(found.host) or is_address(found.host)):
            return found
    raise InvalidField(
        field, "must be HOST:PORT, the host a name in lower case, an IPv4 address, or an IPv6 address in []"
    )


def read_targets(texts: Iterable[str], field: str) -> tuple[str, ...]:
    """Several, each once, as they were written. Raises InvalidField."""
    found = tuple(str(read_target(text, f"{field}[{number}]")) for number, text in enumerate(texts))
    if len(found) > MAX_TARGETS or len(set(found)) < len(found):
        raise InvalidField(field, f"must be at most {MAX_TARGETS}, each once")
    return found


def is_address(host: str) -> bool:
    """Whether it is an address in the one form that we write."""
    try:
        return "%" not in host and str(ip_address(host)) == host  # a zone means something on one machine only
    except ValueError:
        return False
