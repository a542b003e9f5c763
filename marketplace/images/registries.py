"""Reading from image registries (the distribution API, v2), without believing them: bounded answers, checked addresses, few redirects.

Each place that an answer leads to, by a redirect or as the realm of a token, is checked like the registry's own (``addresses``), and
only the registry itself, and who it names for its tokens, ever sees a token.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlencode, urljoin, urlsplit

from marketplace.domain.errors import ImageUnusable, RegistryUnavailable
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.domain.images import ImageName, ImageTrouble, TaggedImage
from marketplace.images.addresses import dial
from marketplace.images.manifests import INDEX_TYPES, MANIFEST_TYPES, MAX_MANIFEST_BYTES, Descriptor, refused

_TIMEOUT_SECONDS: Final = 30.0
_CHUNK_BYTES: Final = 1 << 20
_MOST_REDIRECTS: Final = 5
_MOST_TOKEN_BYTES: Final = 1 << 16
_ACCEPT: Final = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')
_MISSING: Final = frozenset({401, 403, 404, 410})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OURS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE})
"""What this machine says when it cannot keep what comes."""
_OK, _UNAUTHORIZED = 200, 401


@dataclass(slots=True)
class Registry:
    """One image's registry, as one side may speak to it.

    Registry("registry.example", "path")        https, at public addresses
    private={"registry.example"}                hosts that may lie at private addresses
    plain={"registry.example"}                  hosts that are spoken to without TLS
    """

    host: str
    path: str
    private: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    _token: str = field(default="", repr=False)

    def manifest(self, reference: str) -> bytes:
        """A manifest or an index by tag or digest, not verified. Raises ImageUnusable, RegistryUnavailable."""
        with self.opened(f"manifests/{reference}", {"Accept": _ACCEPT}) as answer:
            return _small(answer, MAX_MANIFEST_BYTES, "manifest")

    def resolve(self, image: TaggedImage) -> ImageName:
        """The name of what the tag stands for now. Raises ImageUnusable, RegistryUnavailable."""
        return ImageName(image.registry, image.path, sha256_of(self.manifest(image.tag)))

    def blob(self, digest: Sha256) -> AbstractContextManager[http.client.HTTPResponse]:
        """A blob, to be read as it comes; not verified."""
        return self.opened(f"blobs/sha256:{digest}", {})

    @contextmanager
    def opened(self, what: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer to a question below this path. Raises ImageUnusable where there is no such thing, RegistryUnavailable."""
        url = f"{self._scheme(self.host)}://{self.host}/v2/{self.path}/{what}"
        for is_last in (False, True):
            with self._asked(url, {**headers, **self._authorization()}) as answer:
                if answer.status != _UNAUTHORIZED or is_last:
                    _require_ok(answer, self.host, what)
                    yield answer
                    return
                challenge = answer.headers.get("WWW-Authenticate", "")
            self._token = self._fetched_token(challenge)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    @contextmanager
    def _asked(self, url: str, headers: Mapping[str, str]) -> Iterator[http.client.HTTPResponse]:
        """The answer at the end of all redirects."""
        first = urlsplit(url)
        for _ in range(_MOST_REDIRECTS):
            place = self._checked(url)
            told = (
                headers
                if place[:2] == first[:2]
                else {name: headers[name] for name in headers if name != "Authorization"}
            )
            with closing(self._connection(place)) as connection:
                try:
                    path = f"{place.path}?{place.query}" if place.query else place.path or "/"
                    connection.request("GET", path, headers=dict(told))
                    with closing(connection.getresponse()) as answer:
                        if answer.status not in _REDIRECTS:
                            yield answer
                            return
                        url = _joined(url, answer.headers.get("Location", ""))
                except (OSError, http.client.HTTPException) as exc:
                    if getattr(exc, "errno", None) in _OURS:
                        raise
                    raise RegistryUnavailable(place.netloc, f"{type(exc).__name__}: {exc}") from exc
        raise refused(f"{first.netloc} leads from one address to the next")

    def _checked(self, url: str) -> SplitResult:
        """The URL in its parts; raises ImageUnusable where it is none that may be asked."""
        try:
            place = urlsplit(url)
            host, _ = place.hostname, place.port
        except ValueError:
            raise refused(f"the registry names {ascii(url)[:200]}") from None
        if place.scheme != self._scheme(place.netloc) or not host or "@" in place.netloc or not url.isascii():
            raise refused(f"the registry names {ascii(url)[:200]}, which is no address that may be asked")
        return place

    def _scheme(self, netloc: str) -> str:
        return "http" if netloc in self.plain else "https"

    def _connection(self, place: SplitResult) -> http.client.HTTPConnection:
        is_plain, host = place.scheme == "http", place.hostname or ""
        port = place.port or (80 if is_plain else 443)
        line = dial(host, port, _TIMEOUT_SECONDS, self.private)
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.sock = line if is_plain else ssl.create_default_context().wrap_socket(line, server_hostname=host)
        except OSError:
            line.close()
            raise
        return connection

    def _fetched_token(self, challenge: str) -> str:
        """What the registry's own realm gives to anybody who wants to read. Raises ImageUnusable."""
        told = dict(_CHALLENGE.findall(challenge[:4096]))
        if not challenge.lower().startswith("bearer ") or "realm" not in told:
            raise ImageUnusable(ImageTrouble.NOT_FOUND, f"{self.host} lets nobody read it without an account")
        query = urlencode({"service": told.get("service", ""), "scope": f"repository:{self.path}:pull"})
        url = told["realm"] + ("&" if "?" in told["realm"] else "?") + query
        with self._asked(url, {}) as answer:
            _require_ok(answer, self.host, "token")
            content = _small(answer, _MOST_TOKEN_BYTES, "token")
        try:
            document = json.loads(content)
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise refused(f"{self.host} gives a token that is none")
        return token


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise refused(f"the registry names {ascii(location)[:200]}") from None


def fetch_whole(registry: Registry, blob: Descriptor, folder: Path, spend: Callable[[int], None]) -> None:
    """Have a blob in the folder, under its hash, as soon as all of it was right. ``spend`` is told of each piece before it is kept."""
    place, partial = folder / blob.sha256, folder / f".partial-{blob.sha256}"
    if place.exists():
        return
    digest, left = hashlib.sha256(), blob.size
    try:
        with registry.blob(blob.sha256) as answer, partial.open("wb") as file:
            while piece := answer.read(_CHUNK_BYTES):
                left -= len(piece)
                if left < 0:
                    raise refused(f"{blob.digest} is longer than its manifest says")
                spend(len(piece))
                digest.update(piece)
                file.write(piece)
        if left or digest.hexdigest() != blob.sha256:
            raise refused(f"{blob.digest} holds other bytes than its name says")
        partial.rename(place)
    finally:
        partial.unlink(missing_ok=True)


def _require_ok(answer: http.client.HTTPResponse, host: str, what: str) -> None:
    if answer.status in _MISSING:
        raise ImageUnusable(ImageTrouble.NOT_FOUND, f"{host} answers {answer.status} for {what}")
    if answer.status != _OK:
        raise RegistryUnavailable(host, f"it answers {answer.status} for {what}")


def _small(answer: http.client.HTTPResponse, most_bytes: int, what: str) -> bytes:
    content = answer.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise refused(f"a {what} of more than {most_bytes} bytes")
    return content
