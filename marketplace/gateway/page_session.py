"""A session that a browser keeps for the page: in a cookie that no script reads, and that only the page's own requests bring along.

Other sites can make a browser ask us something, but not with this cookie: it is ``SameSite=Strict``, and it counts only where the browser
itself says that a page of ours asks (``Sec-Fetch-Site``, which no page can set). A session reads and writes nothing anyway.
"""

from __future__ import annotations

from fastapi import Request
from starlette.responses import Response

from marketplace.domain.units import Seconds

COOKIE = "bourse_session"
PAGE_HEADER = "bourse-page"
"""What the page sends with its sign-in. Another origin's script cannot: browsers ask first (CORS), and we say no."""
_PATH = "/v1"


def is_of_page(request: Request) -> bool:
    """Whether our own page asks for a session to be kept for it."""
    return request.headers.get(PAGE_HEADER) == "1" and _is_ours(request)


def kept_token(request: Request) -> str | None:
    """The session's token, where the browser keeps one and says that a page of ours asks."""
    return request.cookies.get(COOKIE) if _is_ours(request) else None


def keep(response: Response, request: Request, token: str, lasts: Seconds) -> None:
    """Have the browser keep the token for so long; over https it is never sent in the clear."""
    is_secure = request.headers.get("origin", "").startswith("https://")
    response.set_cookie(COOKIE, token, max_age=lasts, path=_PATH, httponly=True, samesite="strict", secure=is_secure)


def forget(response: Response) -> None:
    response.delete_cookie(COOKIE, path=_PATH, httponly=True, samesite="strict")


def _is_ours(request: Request) -> bool:
    return request.headers.get("sec-fetch-site") == "same-origin"
