"""The page's files as a gateway serves them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from marketplace.gateway.routes.static import answer
from marketplace.gateway.static_files import Folder, read_folder

SCRIPT = b"export const one = 1;\n" * 40


@pytest.fixture
def page(tmp_path: Path) -> Folder:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "assets" / "a-1.js").write_bytes(SCRIPT)
    (tmp_path / "assets" / "secret.key").write_text("not a kind of file that a page has")
    (tmp_path / "assets" / "out.txt").symlink_to("/etc/hostname")
    found = read_folder(tmp_path)
    assert found is not None
    return found


def asked(page: Folder, name: str, **headers: str) -> Response:
    """What a request for this file is answered with; header names are written with underscores."""
    sent = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
    return answer(Request({"type": "http", "headers": sent}), page[name])


def test_the_page_is_asked_for_again_and_what_has_a_hash_in_its_name_is_not(page: Folder) -> None:
    """`index.html` must be looked at anew, hashed files may be kept for ever, and who has one gets a 304 without a body."""
    script = asked(page, "assets/a-1.js")

    assert asked(page, "index.html").headers["cache-control"] == "no-cache"
    assert "immutable" in script.headers["cache-control"]
    again = asked(page, "assets/a-1.js", if_none_match=script.headers["etag"])
    assert (again.status_code, again.body) == (304, b"")


def test_files_are_sent_packed_to_who_takes_them_packed(page: Folder) -> None:
    """With `Accept-Encoding: gzip` the body is gzip of the file, without it the file."""
    packed = asked(page, "assets/a-1.js", accept_encoding="br, gzip")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(packed.body)) == SCRIPT
    assert asked(page, "assets/a-1.js").body == SCRIPT


def test_nothing_but_the_page_is_served(page: Folder, tmp_path: Path) -> None:
    """Files of other kinds and links out of the folder are not there, and where no page was built nothing is."""
    assert set(page) == {"index.html", "assets/a-1.js"}
    assert read_folder(tmp_path / "assets") is None


def test_the_policy_lets_no_script_run_that_is_not_a_file_of_the_page(page: Folder) -> None:
    """The policy allows scripts and styles of this origin only, nothing inline and nothing that frames the page."""
    policy = asked(page, "index.html").headers["content-security-policy"]

    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert policy.startswith("default-src 'none'")
