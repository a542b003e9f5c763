"""Pulling from a registry that is a real small HTTP server, and from ones that lie, lead astray, or point at this machine."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from marketplace.client.images import resolved
from marketplace.domain.errors import ImageUnusable, RegistryUnavailable
from marketplace.domain.ids import sha256_of
from marketplace.domain.images import ImageName, ImageTrouble, TaggedImage
from marketplace.images.addresses import refusal_of
from marketplace.images.registries import Registry
from marketplace.provider.images.cache import CachedImage, ImageCache
from marketplace.provider.images.pulling import ImagePuller, Pull
from marketplace.provider.images.sources import RegistryBlobs
from tests.unit.provider.image_layers import Image, image, item, layer

Answer = tuple[int, dict[str, str], bytes]
Rule = Callable[[str, str], Answer | None]
"""From a path and a token to an answer; None: as a registry would."""


@contextmanager
def registry(made: Image, rule: Rule = lambda path, token: None) -> Iterator[str]:
    """A registry with one image, tagged ``1``; its host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, headers, body = rule(self.path, token) or _as_usual(made, self.path)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _as_usual(made: Image, path: str) -> Answer:
    _, _, name, kind, reference = path.split("/")
    digest = f"sha256:{made.manifest}" if (kind, reference) == ("manifests", "1") else reference
    content = made.blobs.get(digest)
    return (404, {}, b"") if name != "path" or content is None else (200, {}, content)


def pulled(host: str, made: Image, place: Path, *, private: bool = True) -> CachedImage:
    """The image, pulled into a cache below ``place``."""
    (place / "servings" / "a").mkdir(parents=True, exist_ok=True)
    cache = ImageCache(place / "images", place / "servings", 1 << 30, None)
    asked = Registry(host, "path", frozenset({host} if private else ()), frozenset({host}))
    wanted = Pull(ImageName(host, "path", made.manifest), "a", RegistryBlobs(asked), lambda _: None)
    found = ImagePuller(cache).pull(wanted)
    assert found is not None
    return found


MADE = image(layer(item("own", content=b"1")), layer(item("more", content=b"2")))


def test_an_image_is_pulled_and_found_again(tmp_path: Path) -> None:
    """Manifest, configuration and layers come from the registry once; the second time nothing is asked."""
    with registry(MADE) as host:
        found = pulled(host, MADE, tmp_path)
    again = pulled(host, MADE, tmp_path)

    assert (found.folder / "root" / "more").read_text() == "2"
    assert again.folder == found.folder
    assert not any((tmp_path / "images" / "packed").iterdir())


def test_a_token_is_fetched_where_the_registry_says(tmp_path: Path) -> None:
    """A registry that wants a Bearer token names a realm; what that gives for reading this path is shown to the registry."""
    asked: list[str] = []

    def rule(path: str, token: str) -> Answer | None:
        if path.startswith("/token"):
            asked.append(path)
            return 200, {}, json.dumps({"token": "let-me-in"}).encode()
        challenge = f'Bearer realm="http://{host}/token",service="here",scope="ignored"'
        return None if token == "let-me-in" else (401, {"WWW-Authenticate": challenge}, b"")

    with registry(MADE, rule) as host:
        pulled(host, MADE, tmp_path)

    assert asked == ["/token?service=here&scope=repository%3Apath%3Apull"]


def test_a_redirect_is_followed_without_the_token(tmp_path: Path) -> None:
    """Blobs may lie elsewhere, at a host that may be asked, too; the registry's token is none of its business."""
    seen: list[str] = []

    def elsewhere(path: str, token: str) -> Answer | None:
        seen.append(token)
        return None

    def rule(path: str, token: str) -> Answer | None:
        if "/blobs/" in path:
            return 307, {"Location": f"http://{other}{path}"}, b""
        return None

    with registry(MADE, elsewhere) as other, registry(MADE, rule) as host:
        both = frozenset({host, other})
        asked = Registry(host, "path", both, both)
        asked._token = "secret"
        with asked.blob(MADE.read().config.sha256) as answer:
            content = answer.read()

    assert sha256_of(content) == MADE.read().config.sha256
    assert seen == [""]


def _lead(to: str) -> Rule:
    return lambda path, token: (302, {"Location": to}, b"")


def _realm(to: str) -> Rule:
    return lambda path, token: (401, {"WWW-Authenticate": f'Bearer realm="{to}",service="s"'}, b"")


REFUSED: dict[str, Rule] = {
    "a redirect to the metadata service": _lead("http://169.254.169.254/latest/meta-data"),
    "a redirect to a private address": _lead("https://10.0.0.1/"),
    "a redirect to another port of this machine": _lead("https://127.0.0.1:1/"),
    "a redirect to this machine by IPv6": _lead("https://[::1]/"),
    "a redirect to a mapped address": _lead("https://[::ffff:10.0.0.1]/"),
    "a redirect to a file": _lead("file:///etc/passwd"),
    "a redirect to another protocol": _lead("gopher://127.0.0.1/"),
    "a redirect with an account": _lead("https://user:password@203.0.113.1/"),
    "a redirect to no port": _lead("https://127.0.0.1:99999/"),
    "a redirect without TLS": _lead("http://203.0.113.1/"),
    "redirects without end": lambda path, token: (302, {"Location": path}, b""),
    "a redirect to nowhere": _lead(""),
    "a redirect to nonsense": _lead("http://[/"),
    "a realm at the metadata service": _realm("http://169.254.169.254/token"),
    "a realm at a private address": _realm("https://192.168.1.1/token"),
    "a realm that is a file": _realm("file:///etc/passwd"),
    "no realm": lambda path, token: (401, {"WWW-Authenticate": 'Basic realm="x"'}, b""),
    "a manifest that is another": lambda path, token: (200, {}, b"{}") if "manifests" in path else None,
    "a manifest without end": lambda path, token: (200, {}, bytes(2 << 20)) if "manifests" in path else None,
    "a blob that is another": lambda path, token: (200, {}, b"x" * 10) if "blobs" in path else None,
    "a blob that is longer": lambda path, token: (200, {}, bytes(1 << 16)) if "blobs" in path else None,
    "no such image": lambda path, token: (404, {}, b""),
    "an account needed": lambda path, token: (403, {}, b""),
}


@pytest.mark.parametrize("rule", REFUSED.values(), ids=REFUSED)
def test_a_registry_that_leads_astray_is_refused(rule: Rule, tmp_path: Path) -> None:
    """Wherever an answer leads is checked like the registry itself, and nothing of it stays."""
    with registry(MADE, rule) as host, pytest.raises(ImageUnusable) as refused:
        pulled(host, MADE, tmp_path)

    assert refused.value.trouble in (ImageTrouble.REFUSED, ImageTrouble.NOT_FOUND)
    assert not any(path.is_file() for path in (tmp_path / "images").rglob("*"))


def test_a_registry_at_a_private_address_has_to_be_listed(tmp_path: Path) -> None:
    """A name on the list is not enough where it leads to this machine or its network."""
    with registry(MADE) as host, pytest.raises(ImageUnusable, match="no public address"):
        pulled(host, MADE, tmp_path, private=False)


PLACES = {
    "127.0.0.1": False, "10.1.2.3": False, "169.254.169.254": False, "192.168.0.1": False, "100.64.0.1": False,
    "0.0.0.0": False, "224.0.0.1": False, "255.255.255.255": False, "::1": False, "::": False, "fe80::1": False,
    "fc00::1": False, "::ffff:127.0.0.1": False, "64:ff9b::7f00:1": False, "2002:7f00:1::": False, "8.8.8.8": True,
    "2606:4700:4700::1111": True, "::ffff:8.8.8.8": True,
}  # fmt: skip


@pytest.mark.parametrize(("address", "may"), PLACES.items(), ids=PLACES)
def test_only_public_addresses_are_dialled(address: str, may: bool) -> None:
    """Loopback, private, link-local, shared, multicast and translated addresses are told apart from public ones."""
    assert (refusal_of(ipaddress.ip_address(address)) == "") is may


def test_a_registry_that_is_broken_may_recover(tmp_path: Path) -> None:
    """What passes by itself is told apart from what stays: it is worth another try."""
    with registry(MADE, lambda path, token: (503, {}, b"")) as host, pytest.raises(RegistryUnavailable):
        pulled(host, MADE, tmp_path)
    with pytest.raises(RegistryUnavailable):
        pulled(host, MADE, tmp_path)

    assert RegistryUnavailable.retryable


def test_a_tag_is_resolved_before_anything_is_signed() -> None:
    """What a client types is asked for once, and what it stands for is said."""
    said: list[str] = []
    with registry(MADE) as host:
        found = resolved(f"{host}/path:1", said.append)

    assert found == f"{host}/path@sha256:{MADE.manifest}"
    assert said == [f"{TaggedImage(host, 'path', '1')} is {found}"]
