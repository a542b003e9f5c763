"""What the way out of one job is allowed."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

PROXY_PORT: Final = 3128
"""Of the job's own 127.0.0.1."""
COUNTS: Final = struct.Struct("<QQ")
"""As the proxy counts for who started it: bytes that were sent, and that came."""
_PROXY: Final = f"http://127.0.0.1:{PROXY_PORT}"
_WITHOUT: Final = "localhost,127.0.0.1,::1"


@dataclass(frozen=True, slots=True)
class WayOut:
    """``targets`` as ``domain.egress`` writes them; ``local``: addresses with ports of the provider's own network that count as public."""

    targets: tuple[str, ...]
    most_bytes: int
    """Both ways together."""
    local: tuple[str, ...] = ()

    @staticmethod
    def variables() -> dict[str, str]:
        """By which programs find the proxy. curl believes http_proxy in small letters only."""
        return {
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), _PROXY),
            **dict.fromkeys(("no_proxy", "NO_PROXY"), _WITHOUT),
        }
