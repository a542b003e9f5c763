"""The page of one's own install, over a real gateway: what it serves, what it passes on, and what it keeps to itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import Response

from marketplace.gateway.own_page import OwnWord, own_page
from marketplace.gateway.static_files import Folder, read_folder
from tests.integration.gateway.conftest import ARBITER, CLIENT, DOLLAR, OPENER, Gateway, running, submission
from tests.ports import free_port


@pytest.fixture
def page(tmp_path: Path) -> Folder:
    (tmp_path / "index.html").write_text("<html><head><title>t</title></head></html>")
    found = read_folder(tmp_path)
    assert found
    return found


@pytest.fixture
def word(gateway: Gateway) -> OwnWord:
    return OwnWord(
        "gateway.example",
        gateway.chain.chain_id,
        gateway.book.market,
        gateway.book.token,
        OPENER.address,
        ARBITER.address,
    )


@pytest.fixture
def http(gateway: Gateway, page: Folder, word: OwnWord) -> Iterator[httpx.Client]:
    with (
        running(own_page(page, gateway.url, word)) as url,
        httpx.Client(base_url=url, trust_env=False, timeout=20) as http,
    ):
        yield http


def test_the_page_brings_the_address_book_along(http: httpx.Client, word: OwnWord) -> None:
    """In the document itself, so that no gateway has a say in it; scripts in the text stay forbidden."""
    answer = http.get("/")
    told = json.loads(unescape(answer.text.split('name="bourse-own" content="')[1].split('"')[0]))

    assert (told["gateway"], told["market"], told["arbiter"]) == ("gateway.example", word.market, ARBITER.address)
    assert "script-src 'self'" in answer.headers["content-security-policy"]


def test_what_the_page_asks_is_the_gateways(http: httpx.Client, gateway: Gateway) -> None:
    """Reads, an order that is posted, a problem, and a 304 come through as they are; and never as a page of this origin."""
    signed = gateway.signed()
    posted = http.post("/v1/orders", json=submission(signed))
    read = http.get(f"/v1/orders/{signed.id}")
    again = http.get("/v1/market", headers={"If-None-Match": http.get("/v1/market").headers["etag"]})
    missing = http.get("/v1/orders/0x" + "00" * 32)

    assert (posted.status_code, read.json()["id"]) == (201, signed.id)
    assert (again.status_code, missing.status_code, missing.json()["reason"]) == (304, 404, "NotFound")
    assert read.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert http.get("/ready").json() == gateway.http.get("/ready").json()
    assert http.get("/metrics").status_code == 404


def test_the_stream_comes_as_it_goes(http: httpx.Client, gateway: Gateway) -> None:
    """An event is read while the stream stays open."""
    with http.stream("GET", "/v1/events?live=true") as stream:
        gateway.fund(CLIENT, DOLLAR)
        gateway.sync()
        first = next(line for line in stream.iter_lines() if line.startswith("event:"))

    assert first


def test_only_this_machines_own_names_are_answered(http: httpx.Client) -> None:
    """A stranger's name that leads here reads nothing."""
    assert http.get("/v1/market", headers={"Host": "evil.example"}).status_code == 400


def test_cookies_of_others_stay_here_and_theirs_stay_there(page: Folder, word: OwnWord) -> None:
    """The gateway sees its session only, and sets no other cookie; its other headers do not come through."""
    seen: list[str] = []
    hostile = FastAPI()

    @hostile.get("/v1/market")
    def get_market(request: Request) -> Response:
        seen.append(request.headers.get("cookie", ""))
        told = Response("<script>alert(1)</script>", media_type="text/html")
        told.set_cookie("other", "1")
        told.set_cookie("bourse_session", "new")
        told.headers["Clear-Site-Data"] = '"*"'
        return told

    with running(hostile) as there, running(own_page(page, there, word)) as here:
        answer = httpx.get(
            f"{here}/v1/market", headers={"Cookie": "secret=1; bourse_session=mine"}, trust_env=False, timeout=20
        )

    assert seen == ["bourse_session=mine"]
    assert [cookie.name for cookie in answer.cookies.jar] == ["bourse_session"]
    assert "clear-site-data" not in answer.headers
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_gateway_that_is_away_is_a_problem_in_words(page: Folder, word: OwnWord) -> None:
    """A 502 with its reason."""
    with running(own_page(page, f"http://127.0.0.1:{free_port()}", word)) as here:
        answer = httpx.get(f"{here}/v1/market", trust_env=False, timeout=20)

    assert (answer.status_code, answer.json()["reason"]) == (502, "GatewayUnreachable")
