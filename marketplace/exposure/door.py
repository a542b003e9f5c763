"""Who may come to an exposed port, and from where: judged from a request's head alone, without a clock or a socket.

The port has one host of its own, so browsers keep it apart from the gateway, the page and other jobs. Its address carries a
token, which is exchanged for a cookie of that host that no script can read. Programs may say the token as a bearer's. What
is told here is never told to the job.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

import h11

HEAD_BYTES: Final = 32 * 1024
"""Of a request's or an answer's head, all lines together."""
COOKIE_MARK: Final = "bourse-expose-"
"""With which the names of our cookies begin; browsers tell cookies of two ports of one host only by their names."""
_ENTRANCE: Final = "/.bourse/"
"""Below it nothing is the job's."""
_WEBSOCKET: Final = (b"upgrade", b"websocket")


@dataclass(frozen=True, slots=True)
class ExposedHost:
    """The one origin under which a port of a job is reached."""

    name: str
    """As browsers say it in ``Host``: with the port, where it is not the scheme's."""
    scheme: str = "http"

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.name}"


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request is the job's."""

    is_websocket: bool


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """We answer ourselves: in words, or by leading on with a cookie."""

    status: int
    why: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """What lets somebody in at one host. Both secrets are made anew with each door, and are gone with it."""

    host: ExposedHost
    port: int
    """Of the job."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    ticket: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    """The cookie's value: not the token, so that neither tells the other."""

    @property
    def address(self) -> str:
        """Whoever has it comes in."""
        return f"{self.host.origin}{_ENTRANCE}{self.token}"

    @property
    def cookie(self) -> str:
        """Its name. Where there is TLS it has the prefix with which browsers let no other host set it."""
        return f"{'__Host-' if self.host.scheme == 'https' else ''}{COOKIE_MARK}{self.port}"

    def judge(self, request: h11.Request) -> Admitted | TurnedAway:
        """Host first: a page that has had its own name point here (DNS rebinding) does not even learn whether its token is right."""
        if sum(len(name) + len(value) for name, value in request.headers) + len(request.target) > HEAD_BYTES:
            return TurnedAway(431, f"A request's head may have {HEAD_BYTES} bytes.")
        if [host.lower() for host in values_of(request, b"host")] != [self.host.name.lower()]:
            return TurnedAway(421, "This is not the host that is asked for.")
        if not request.target.startswith(b"/"):
            return TurnedAway(400, "A path must be asked for.")
        if request.target.startswith(_ENTRANCE.encode()):
            return self._entered(request)
        if self.token.encode() in request.target:
            return TurnedAway(
                400, "The token belongs in the address as it was given, and nowhere else: the job would read it."
            )
        if _is_same(self.token, bearer_of(request)):
            return Admitted(_is_websocket(request))
        if not any(_is_same(self.ticket, value) for name, value in cookies_of(request) if name == self.cookie):
            return _without_token("Ask whoever opened this port for its whole address: it has a token in it.")
        if self._is_from_elsewhere(request):
            return TurnedAway(403, "Another page than this host's own has asked for this.")
        return Admitted(_is_websocket(request))

    def _entered(self, request: h11.Request) -> TurnedAway:
        told = request.target.decode("ascii", "replace").removeprefix(_ENTRANCE)
        if request.method not in (b"GET", b"HEAD") or not _is_same(self.token, told):
            return _without_token("This token is not, or no longer, that of the port.")
        # Lax, not Strict: a Strict cookie is not sent on by who follows the address out of another page.
        secure = "; Secure" if self.host.scheme == "https" else ""
        cookie = f"{self.cookie}={self.ticket}; Path=/; HttpOnly; SameSite=Lax{secure}"
        return TurnedAway(303, "Come in.", (("Location", f"{self.host.origin}/"), ("Set-Cookie", cookie)))

    def _is_from_elsewhere(self, request: h11.Request) -> bool:
        """Whether a browser, which adds the cookie by itself, was sent by another origin's page, a job's beside this one included.

        Following a link to here is nobody's harm: it asks with GET, for a whole page, whose content the other origin cannot read.
        """
        said = {name: values_of(request, name.encode()) for name in ("origin", "sec-fetch-site", "sec-fetch-dest")}
        if any(origin.lower() != self.host.origin.lower() for origin in said["origin"]):
            return True
        is_link = request.method in (b"GET", b"HEAD") and said["sec-fetch-dest"] == ["document"]
        return not is_link and any(site not in ("same-origin", "none") for site in said["sec-fetch-site"])


def _without_token(why: str) -> TurnedAway:
    return TurnedAway(401, why, (("WWW-Authenticate", "Bearer"),))


def values_of(message: h11.Request | h11.Response | h11.InformationalResponse, name: bytes) -> list[str]:
    """The values of all headers of that name, which is in lower case."""
    return [value.decode("latin-1").strip() for found, value in message.headers if found == name]


def cookies_of(request: h11.Request) -> list[tuple[str, str]]:
    """The names and values of the cookies that it carries."""
    pairs = (pair.strip().partition("=") for line in values_of(request, b"cookie") for pair in line.split(";"))
    return [(name, value) for name, _, value in pairs if name]


def bearer_of(request: h11.Request) -> str:
    """The bearer's token that it says; empty without exactly one."""
    said = [re.fullmatch(r"[Bb]earer +(\S+)", value) for value in values_of(request, b"authorization")]
    return said[0][1] if len(said) == 1 and said[0] else ""


def _is_websocket(request: h11.Request) -> bool:
    return _WEBSOCKET[1] in [value.lower() for name, value in request.headers if name == _WEBSOCKET[0]]


def _is_same(secret: str, said: str) -> bool:
    """Whether it is; how long that takes tells nothing."""
    return hmac.compare_digest(secret.encode(), said.encode())
