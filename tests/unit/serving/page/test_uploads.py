"""Files that a browser sends: kept to the byte, and refused where they are too large, none, or not this page's."""

import asyncio
import os

import httpx
import pytest
from fastapi import Request
from starlette.testclient import TestClient

from rec_sys.serving.page.uploads import UPLOADS, Upload, read_upload
from tests.unit.serving.conftest import Start
from tests.unit.serving.page.test_sessions import TOKENS, sign_in

CSV = {"file": ("r.csv", b"user,product\na,p\n")}


def sent(content: bytes, name: str) -> Upload:
    """Read in small parts."""
    files = {"file": (name, content)}
    request = httpx.Request("POST", "http://shop/", data={"kind": "products"}, files=files)
    body = request.read()
    parts = [body[start : start + 7_001] for start in range(0, len(body), 7_001)]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    head = [(b"content-type", request.headers["content-type"].encode())]
    return asyncio.run(read_upload(Request({"type": "http", "headers": head}, receive), 1_000_000, 5))


@pytest.mark.parametrize("content", [os.urandom(50_000), b"\r\n--\r\n\r\n", b"PAR1\r\n\r\n--", b"a\nb\r\n"])
def test_a_file_is_kept_to_the_byte(content: bytes) -> None:
    assert sent(content, "Käufe 1.csv") == Upload({"kind": "products"}, "Käufe 1.csv", content)


@pytest.fixture
def shop(start: Start) -> TestClient:
    client = start(tokens=TOKENS, max_upload_bytes=2_000)
    client.follow_redirects = False
    return client


def test_only_who_may_write_sends_files(shop: TestClient) -> None:
    assert shop.post(UPLOADS, files=CSV).headers["Location"] == "/sign-in"
    sign_in(shop, "read-secret")
    assert UPLOADS not in shop.get("/shop").text
    for refused in (shop.get(UPLOADS), shop.post(UPLOADS, files=CSV), shop.post(f"{UPLOADS}/x", data={"do": "take"})):
        assert refused.status_code == 403
    sign_in(shop, "write-secret")
    assert f'href="{UPLOADS}"' in shop.get("/shop").text
    assert shop.post(UPLOADS, files=CSV, headers={"Origin": "http://elsewhere.example"}).status_code == 403


@pytest.mark.parametrize(
    ("status", "words", "sent"),
    [
        (413, "the file is larger than 2,000 bytes", {"files": {"file": ("r.csv", b"x" * 3_000)}}),
        (422, "no file is chosen", {"files": {"other": ("", b"")}}),
        (422, "the file Käufe.csv is empty", {"files": {"file": ("Käufe.csv", b"")}}),
        (422, "this is no form with a file", {"data": {"kind": "reviews"}}),
    ],
)
def test_what_is_no_file_is_refused(status: int, words: str, sent: dict[str, object], shop: TestClient) -> None:
    sign_in(shop, "write-secret")
    refused = shop.post(UPLOADS, **sent)  # type: ignore[arg-type]
    assert (refused.status_code, words in refused.text) == (status, True)
    assert shop.get(f"{UPLOADS}/gone").status_code == 404
