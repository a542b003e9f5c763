"""Settings: from the environment, from a development network, and complaints that list everything at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketplace.config import from_env
from marketplace.domain.errors import ConfigError


def test_the_environment_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Every BOURSE_ variable has its setting; several RPC URLs are separated by commas."""
    settings = from_env(
        {"BOURSE_RPC_URLS": "http://a:1, https://b", "BOURSE_GATEWAY_URL": "http://g/", "BOURSE_CONFIRMATIONS": "3"},
        tmp_path,
    )

    assert settings.rpc_urls == ("http://a:1", "https://b")
    assert settings.gateway_url == "http://g"
    assert settings.confirmations == 3


def test_a_development_network_above_answers_for_what_is_not_set(tmp_path: Path) -> None:
    """`bourse` finds the network of the nearest folder above, and the environment wins over it."""
    (tmp_path / ".devnet").mkdir()
    state = {"settings": {"rpc_urls": "http://chain", "gateway_url": "http://gateway", "keystore": "/keys/client.json"}}
    (tmp_path / ".devnet" / "state.json").write_text(json.dumps(state))
    below = tmp_path / "some" / "folder"
    below.mkdir(parents=True)
    settings = from_env({"BOURSE_GATEWAY_URL": "http://mine"}, below)

    assert settings.rpc_urls == ("http://chain",)
    assert settings.gateway_url == "http://mine"
    assert settings.keystore == Path("/keys/client.json")


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Three mistakes are three sentences of one error."""
    wrong = {"BOURSE_CONFIRMATIONS": "0", "BOURSE_RPC_URLS": "https://a, ftp://b", "BOURSE_GATEWAY_URL": "gateway"}
    with pytest.raises(ConfigError) as caught:
        from_env(wrong, tmp_path)

    assert len(caught.value.problems) == 3


def test_nodes_are_in_order_of_preference(tmp_path: Path) -> None:
    """HTTP and websocket, plain and with TLS."""
    urls = ("wss://a", "http://b:1", "ws://c", "https://d/key")

    assert from_env({"BOURSE_RPC_URLS": " , ".join(urls)}, tmp_path).rpc_urls == urls


def test_pages_of_other_origins_are_named(tmp_path: Path) -> None:
    """None by default; origins as browsers send them, or all; what no browser would send is a mistake."""
    assert from_env({}, tmp_path).gateway_origins == ()
    given = {"BOURSE_GATEWAY_ORIGINS": "https://shop.example, http://localhost:5173"}
    assert from_env(given, tmp_path).gateway_origins == ("https://shop.example", "http://localhost:5173")
    assert from_env({"BOURSE_GATEWAY_ORIGINS": "*"}, tmp_path).gateway_origins == ("*",)
    for wrong in ("shop.example", "https://shop.example/", "https://shop.example/page"):
        with pytest.raises(ConfigError):
            from_env({"BOURSE_GATEWAY_ORIGINS": wrong}, tmp_path)


def test_everything_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    """A process names all the settings that it lacks."""
    with pytest.raises(ConfigError) as caught:
        from_env({}, tmp_path).require("rpc_urls", "redis_url", "home")

    assert [problem.split()[0] for problem in caught.value.problems] == ["BOURSE_RPC_URLS", "BOURSE_REDIS_URL"]


def test_no_url_of_a_node_is_shown(tmp_path: Path) -> None:
    """Providers put keys into them: neither a mistake in one tells it, nor the settings when they are printed."""
    secrets = {"BOURSE_RPC_URLS": "https://a, https//b/v3/SECRET", "BOURSE_GATEWAY_URL": "me:SECRET@gateway"}
    with pytest.raises(ConfigError) as caught:
        from_env(secrets, tmp_path)
    assert "SECRET" not in str(caught.value)
    assert "BOURSE_RPC_URLS: URL 2 of 2" in str(caught.value)

    secrets = {f"BOURSE_{name}_URL": "redis://me:SECRET@host/0" for name in ("REDIS", "JOURNAL")}
    assert "SECRET" not in repr(from_env(secrets | {"BOURSE_RPC_URLS": "https://a/v3/SECRET"}, tmp_path))


def test_gateways_are_a_list(tmp_path: Path) -> None:
    """The one that is named alone comes first, each comes once, and a list of one's own stands without the development network's."""
    state = tmp_path / ".devnet" / "state.json"
    state.parent.mkdir()
    state.write_text(json.dumps({"settings": {"gateway_url": "http://devnet"}}))

    both = from_env({"BOURSE_GATEWAY_URL": "http://a/", "BOURSE_GATEWAY_URLS": "http://b, http://a"}, tmp_path)
    listed = from_env({"BOURSE_GATEWAY_URLS": "http://b/,http://c"}, tmp_path)

    assert (both.gateway_url, both.other_gateways) == ("http://a", ("http://b",))
    assert (listed.gateway_url, listed.other_gateways) == ("http://b", ("http://c",))
    with pytest.raises(ConfigError, match="URL 2 of 2"):
        from_env({"BOURSE_GATEWAY_URLS": "http://b,c"}, tmp_path)
