"""Who comes in at an exposed port, and what of a request and its answer passes."""

from __future__ import annotations

import h11
import pytest

from marketplace.exposure.door import HEAD_BYTES, Admitted, Door, ExposedHost, TurnedAway
from marketplace.exposure.heads import asked_of_job, said_by_job

DOOR = Door(ExposedHost("job-5e.localhost:8090"), 8080)
COOKIE = f"{DOOR.cookie}={DOOR.ticket}"
OUTSIDE = Door(ExposedHost("job-5e.jobs.example", "https"), 8080)


def asked(target: str = "/", method: str = "GET", host: str = DOOR.host.name, **headers: str) -> h11.Request:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return h11.Request(method=method, target=target, headers=[("Host", host), *named])


def status(request: h11.Request, door: Door = DOOR) -> int:
    """What it is turned away with; 0 where it is not."""
    verdict = door.judge(request)
    return verdict.status if isinstance(verdict, TurnedAway) else 0


def test_the_token_is_exchanged_for_a_cookie_of_this_host_alone() -> None:
    """The address leads on to the host's own beginning, with a cookie that no script reads and no other host gets, and the cookie lets in."""
    entered = DOOR.judge(asked(DOOR.address.removeprefix(DOOR.host.origin)))
    assert isinstance(entered, TurnedAway)
    told = dict(entered.headers)

    assert (entered.status, told["Location"]) == (303, "http://job-5e.localhost:8090/")
    assert told["Set-Cookie"] == f"{COOKIE}; Path=/; HttpOnly; SameSite=Lax"
    assert DOOR.token not in "".join(told.values())
    assert DOOR.judge(asked(Cookie=f"other=1; {COOKIE}")) == Admitted(is_websocket=False)
    assert OUTSIDE.cookie == "__Host-bourse-expose-8080"
    assert "; Secure" in str(OUTSIDE.judge(asked(f"/.bourse/{OUTSIDE.token}", host=OUTSIDE.host.name)))
    assert DOOR.token not in repr(DOOR)
    assert DOOR.ticket not in repr(DOOR)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (asked(), 401),
        (asked(Cookie=f"{DOOR.cookie}={DOOR.token}"), 401),
        (asked(Cookie=f"bourse-expose-9={DOOR.ticket}"), 401),
        (asked(Authorization=f"Bearer {DOOR.ticket}"), 401),
        (asked("/.bourse/"), 401),
        (asked(f"/.bourse/{DOOR.token}x"), 401),
        (asked(f"/.bourse/{DOOR.token}", "POST"), 401),
        (asked("/.bourse/health", Cookie=COOKIE), 401),
        (asked(f"/?token={DOOR.token}", Cookie=COOKIE), 400),
        (asked(f"http://{DOOR.host.name}/", Cookie=COOKIE), 400),
        (asked("*", "OPTIONS", Cookie=COOKIE), 400),
        (asked(host="job-5e.localhost", Cookie=COOKIE), 421),
        (asked(f"/.bourse/{DOOR.token}", host="attacker.example:8090"), 421),
        (asked(host="127.0.0.1:8090", Cookie=COOKIE), 421),
        (asked(Cookie=COOKIE, Long="x" * HEAD_BYTES), 431),
        (asked(host=DOOR.host.name.upper(), Cookie=COOKIE), 0),
        (asked("/v1/chat", "POST", Authorization=f"Bearer {DOOR.token}"), 0),
    ],
)  # fmt: skip
def test_strangers_and_other_hosts_are_turned_away(request_: h11.Request, expected: int) -> None:
    """Without cookie or token nothing is the job's to answer, under another name not even with it."""
    assert status(request_) == expected


@pytest.mark.parametrize(
    ("headers", "method", "expected"),
    [
        ({"Origin": "https://attacker.example"}, "POST", 403),
        ({"Origin": "null"}, "POST", 403),
        ({"Origin": "http://job-77.localhost:8090"}, "GET", 403),
        ({"Origin": "http://job-5e.localhost:8000"}, "GET", 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "script"}, "GET", 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "iframe"}, "GET", 403),
        ({"Sec_Fetch_Site": "same-site", "Sec_Fetch_Dest": "document"}, "POST", 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}, "GET", 0),
        ({"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Dest": "empty", "Origin": DOOR.host.origin}, "POST", 0),
        ({"Sec_Fetch_Site": "none", "Sec_Fetch_Dest": "document"}, "GET", 0),
        ({}, "POST", 0),
    ],
)
def test_other_pages_cannot_use_the_cookie(headers: dict[str, str], method: str, expected: int) -> None:
    """What another origin's page sends, with the cookie that the browser adds, is refused; following a link is not."""
    assert status(asked("/", method, Cookie=COOKIE, **headers)) == expected


def test_the_job_sees_none_of_our_secrets() -> None:
    """Cookie, token, a referrer with it and who asks stay here; the job's own cookies and its own Authorization pass."""
    address = DOOR.address
    request = asked(
        "/x", Cookie=f"a=1; {COOKIE}; b=2; __Host-{COOKIE}", Referer=address, X_Forwarded_For="10.0.0.1", Authorization=f"Bearer {DOOR.token}",
        Connection="X-Hop", X_Hop="1", Accept="text/html",
    )  # fmt: skip
    seen = dict(asked_of_job(request, DOOR, is_websocket=False).headers)

    assert DOOR.token not in repr(seen)
    assert DOOR.ticket not in repr(seen)
    assert seen == {
        b"host": b"job-5e.localhost:8090", b"cookie": b"a=1; b=2", b"accept": b"text/html", b"connection": b"close",
        b"x-forwarded-host": b"job-5e.localhost:8090", b"x-forwarded-proto": b"http",
    }  # fmt: skip
    own = asked_of_job(asked(Authorization="Bearer theirs", Cookie=COOKIE), DOOR, is_websocket=False)
    assert (b"authorization", b"Bearer theirs") in list(own.headers)


def test_a_request_has_one_length() -> None:
    """A request that says both length and chunks is chunked for the job, too: it cannot read it otherwise than we do."""
    both = h11.Request(
        method="POST", target="/", headers=[("Host", "x"), ("Content-Length", "3"), ("Transfer-Encoding", "chunked")]
    )

    assert b"content-length" not in dict(asked_of_job(both, DOOR, is_websocket=False).headers)


def test_an_answer_reaches_no_further_than_its_origin() -> None:
    """Cookies for a whole domain become this host's, ours cannot be set, and what would hold for other ports and hosts is left out."""
    said = h11.Response(
        status_code=200,
        headers=[
            ("Set-Cookie", "a=1; Domain=localhost; Path=/"), ("Set-Cookie", "b=2; domain"), ("Set-Cookie", f"{DOOR.cookie}=x"),
            ("Set-Cookie", f"__host-{DOOR.cookie} =x"), ("Clear-Site-Data", '"*"'), ("Alt-Svc", 'h3=":443"'),
            ("Strict-Transport-Security", "max-age=1"), ("Content-Type", "text/html"), ("Connection", "keep-alive"),
        ],
    )  # fmt: skip

    assert said_by_job(said) == [
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
        (b"content-type", b"text/html"),
    ]
