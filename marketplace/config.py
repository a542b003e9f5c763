"""The only reader of the environment. ``Settings`` is built once and handed on in parts, never whole.

Every variable has a default that fits `bourse devnet up`: where a variable is absent, the running development network's
``state.json`` answers; where there is none either, a plain error lists everything that is missing at once.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from marketplace.domain.errors import ConfigError, InvalidField
from marketplace.domain.units import seconds_from_text, whole_from_text

DEVNET_FOLDER = ".devnet"
DEFAULT_CONFIRMATIONS = 1
LOG_BLOCKS = 2_000
DEFAULT_RAY_ADDRESS = "auto"
DEFAULT_MOST_FEE_GWEI = "500"
DEFAULT_LEAST_STAKE = "0.10"
_GATEWAY_SCHEMES = ("http://", "https://")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#\s]+")
_RELAY = re.compile(r"wss?://[A-Za-z0-9.\-\[\]:]{1,180}/?")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")
_NODE_SCHEMES = ("http://", "https://", "ws://", "wss://")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. Empty strings and None mean: not set."""

    rpc_urls: tuple[str, ...] = field(repr=False)
    """With keys in them, as the next two may have: none is shown."""
    address_book: Path | None
    redis_url: str = field(repr=False)
    journal_url: str = field(repr=False)
    blobs_url: str
    gateway_url: str
    """The preferred gateway."""
    other_gateways: tuple[str, ...]
    """Further gateways of the same market: asked where the preferred one is away, and whether a provider is silent."""
    keystore: Path | None
    keystore_password_file: Path | None
    confirmations: int
    log_blocks: int
    """The widest range of blocks to ask a node's logs of at once."""
    home: Path
    opener: str
    """The scheduler's address: whom a client's orders name as opener, and whom the gateway says that it works with."""
    arbiter: str
    """Whom a client's orders name as arbiter, and whom the gateway says that it works with."""
    most_fee_gwei: str
    """What a transaction may pay per gas at most, in gwei."""
    coin_price: str
    """What one of the chain's coins is worth in the market's token, e.g. "2500"; empty: not known. It bounds what is paid to save a bond."""
    ray_address: str
    """The Ray cluster that `bourse scheduler --engine ray` uses: host:port, or "auto" for the one that this machine is part of."""
    least_stake: str
    """What an account must have in the market, in tokens, to send a gateway more than a stranger may."""
    trusted_proxies: str
    """The addresses and networks, with commas between, whose ``X-Forwarded-For`` a gateway believes; empty: nobody's."""
    gateway_origins: tuple[str, ...] = ()
    """The origins of web pages that browsers let use the gateway, e.g. "https://shop.example"; "*" for all. None by default."""
    relay_url: str = ""
    """Where clients and providers meet who sit at a job by ssh: a WebSocket's URL without a path, which the gateway tells; empty: nowhere."""
    slice_seconds: int = 0
    """How long a provider's sessions run between two receipts that pay for them so far; 0: by the market's windows."""
    expose_domain: str = ""
    """Below which `bourse expose` gives each job a host, behind a proxy with TLS; empty: below this machine's own "localhost"."""
    gpu_locks: Path | None = None
    """Where the agents of a machine see which GPUs are rented out already; None: one place for the whole machine."""
    nvml: Path | None = None
    """The file of a Python module that a provider's commands ask about the machine's GPUs; None: nvidia-ml-py."""
    cdi: Path | None = None
    """The folder with the machine's CDI files; None: those of the standard."""

    def require(self, *names: str) -> None:
        """Raise one ConfigError that lists every one of these settings that is not set."""
        missing = [name for name in names if not getattr(self, name)]
        if missing:
            raise ConfigError(
                [f"BOURSE_{name.upper()} is not set, and no development network is running here" for name in missing]
            )

    def with_key(self, keystore: Path | None, password_file: Path | None) -> Settings:
        """The same settings with the key of a command line's options, where given."""
        return replace(
            self,
            keystore=keystore or self.keystore,
            keystore_password_file=password_file or self.keystore_password_file,
        )


def variables() -> Mapping[str, str]:
    """The whole environment, for what a command line names in it: the values of secrets."""
    return os.environ


def from_env(environment: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Read the ``BOURSE_*`` variables, then the development network of ``folder`` (default: here or above)."""
    given = {name: value for name, value in (os.environ if environment is None else environment).items() if value}
    devnet = devnet_state(folder or Path.cwd())
    problems: list[str] = []

    def text(name: str, default: str = "") -> str:
        return given.get(f"BOURSE_{name}") or str(devnet.get(name.lower()) or default)

    def path(name: str) -> Path | None:
        return Path(text(name)).expanduser() if text(name) else None

    def count(name: str, default: int) -> int:
        try:
            return whole_from_text(text(name, str(default)), field=f"BOURSE_{name}", least=1)
        except InvalidField:
            problems.append(f"BOURSE_{name} must be a whole number from 1, not {text(name)!r}")
            return default

    confirmations, log_blocks = count("CONFIRMATIONS", DEFAULT_CONFIRMATIONS), count("LOG_BLOCKS", LOG_BLOCKS)
    rpc_urls = tuple(url.strip() for url in text("RPC_URLS").split(",") if url.strip())
    # URLs of nodes hold keys: which one it is says enough.
    problems += [
        f"BOURSE_RPC_URLS: URL {place} of {len(rpc_urls)} is not http(s) or ws(s)"
        for place, url in enumerate(rpc_urls, 1)
        if not url.startswith(_NODE_SCHEMES)
    ]
    # A list of one's own stands alone: it does not follow after the development network's gateway.
    has_own_list = "BOURSE_GATEWAY_URLS" in given and "BOURSE_GATEWAY_URL" not in given
    gateways = _gateways("" if has_own_list else text("GATEWAY_URL"), text("GATEWAY_URLS"))
    problems += [
        f"BOURSE_GATEWAY_URL, BOURSE_GATEWAY_URLS: URL {place} of {len(gateways)} is not http(s)"
        for place, url in enumerate(gateways, 1)
        if not url.startswith(_GATEWAY_SCHEMES)
    ]
    origins = _origins(text("GATEWAY_ORIGINS"), problems)
    relay_url = _relay(text("RELAY_URL"), problems)
    slice_seconds = _slice(text("SLICE"), problems)
    expose_domain = _domain(text("EXPOSE_DOMAIN"), problems)
    if problems:
        raise ConfigError(problems)
    home = path("HOME") or Path.home() / ".bourse"
    return Settings(
        rpc_urls=rpc_urls,
        address_book=path("ADDRESS_BOOK"),
        redis_url=text("REDIS_URL"),
        journal_url=text("JOURNAL_URL", f"sqlite:///{home}/operator.sqlite"),
        blobs_url=text("BLOBS_URL", str(home / "blobs")),
        gateway_url=gateways[0] if gateways else "",
        other_gateways=gateways[1:],
        keystore=path("KEYSTORE"),
        keystore_password_file=path("KEYSTORE_PASSWORD_FILE"),
        confirmations=confirmations,
        log_blocks=log_blocks,
        home=home,
        opener=text("OPENER"),
        arbiter=text("ARBITER"),
        most_fee_gwei=text("MOST_FEE_GWEI", DEFAULT_MOST_FEE_GWEI),
        coin_price=text("COIN_PRICE"),
        ray_address=text("RAY_ADDRESS", DEFAULT_RAY_ADDRESS),
        least_stake=text("LEAST_STAKE", DEFAULT_LEAST_STAKE),
        trusted_proxies=text("TRUSTED_PROXIES"),
        gateway_origins=origins,
        relay_url=relay_url,
        expose_domain=expose_domain,
        slice_seconds=slice_seconds,
        gpu_locks=path("GPU_LOCKS"),
        nvml=path("NVML"),
        cdi=path("CDI"),
    )


def _origins(listed: str, problems: list[str]) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in listed.split(",") if origin.strip())
    problems += [
        f"BOURSE_GATEWAY_ORIGINS: {origin!r} is not *, nor scheme://host or scheme://host:port"
        for origin in origins
        if not _ORIGIN.fullmatch(origin)
    ]
    return origins


def _relay(url: str, problems: list[str]) -> str:
    if url and not _RELAY.fullmatch(url):
        problems.append(f"BOURSE_RELAY_URL: {url!r} is not ws://host:port or wss://host")
    return url.rstrip("/")


def _slice(said: str, problems: list[str]) -> int:
    try:
        return seconds_from_text(said, field="BOURSE_SLICE") if said else 0
    except InvalidField as exc:
        problems.append(f"BOURSE_SLICE {exc.rule}")
        return 0


def _domain(name: str, problems: list[str]) -> str:
    lowered = name.lower().removeprefix("*.")
    if lowered and not _DOMAIN.fullmatch(lowered):
        problems.append(f"BOURSE_EXPOSE_DOMAIN: {name!r} is no domain such as jobs.example")
    return lowered


def _gateways(first: str, listed: str) -> tuple[str, ...]:
    """The gateways by preference, each once: the one that is named alone, then the list."""
    urls = [url.strip().rstrip("/") for url in (first, *listed.split(","))]
    return tuple(dict.fromkeys(url for url in urls if url))


def devnet_state(folder: Path) -> dict[str, Any]:
    """The settings that a development network in this folder, or the nearest one above, has written down for its users."""
    for place in (folder, *folder.parents):
        state = place / DEVNET_FOLDER / "state.json"
        if state.is_file():
            settings: dict[str, Any] = json.loads(state.read_text()).get("settings", {})
            return settings
    return {}
