"""Downloads against a real server on this machine that can break off, lie and refuse."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from rec_sys.contracts import InputError
from rec_sys.data.download import download
from rec_sys.settings import Address, RawFile

CONTENT = bytes(range(256)) * 4_000
NAME = "reviews.json.gz"


class Shop(ThreadingHTTPServer):
    """Serves one file with ranges; its attributes say how it misbehaves."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"v1"'
        self.break_after: list[int] = []  # bytes after which each of the next answers breaks off
        self.failures: list[int] = []  # status of each of the next answers
        self.accepts_ranges = True
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data/{NAME}?download=1"

    def file(self, sha256: str | None = None) -> RawFile:
        # The settings insist on https; a certificate would add nothing to what is tested here.
        return RawFile.model_construct(url=Address(self.url), sha256=sha256)


class Handler(BaseHTTPRequestHandler):
    server: Shop

    def do_GET(self) -> None:
        shop = self.server
        shop.requests.append(dict(self.headers))
        if shop.failures:
            self.send_error(shop.failures.pop(0))
            return
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked.group(1)) if asked and shop.accepts_ranges else 0
        if self.headers.get("If-Range", shop.etag) != shop.etag:
            start = 0
        if start >= len(shop.content) and start:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(shop.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = shop.content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(shop.content) - 1}/{len(shop.content)}")
        if shop.etag:
            self.send_header("ETag", shop.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: shop.break_after.pop(0)] if shop.break_after else body)
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fetch(shop: Shop, folder: Path, sha256: str | None = None) -> Path:
    return download(shop.file(sha256), folder, wait_seconds=0.001)


def _visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_is_fetched_checked_and_named_by_its_address(shop: Shop, tmp_path: Path) -> None:
    path = _fetch(shop, tmp_path / "raw", _sha256(CONTENT))
    assert path == tmp_path / "raw" / NAME
    assert path.read_bytes() == CONTENT
    assert _visible(path.parent) == [NAME]


def test_a_file_in_place_is_used_without_a_request(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"put here by hand")
    assert _fetch(shop, tmp_path).read_bytes() == b"put here by hand"
    assert shop.requests == []


def test_a_file_in_place_that_is_another_is_refused_and_left_alone(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"put here by hand")
    with pytest.raises(InputError, match=_sha256(CONTENT)) as caught:
        _fetch(shop, tmp_path, _sha256(CONTENT))
    assert f"data.reviews_path={tmp_path / NAME}" in caught.value.remedy
    assert (tmp_path / NAME).read_bytes() == b"put here by hand"
    assert shop.requests == []


def test_a_connection_that_dies_midway_is_resumed_from_where_it_died(shop: Shop, tmp_path: Path) -> None:
    shop.break_after = [300_000, 200_000]
    assert _fetch(shop, tmp_path, _sha256(CONTENT)).read_bytes() == CONTENT
    assert [request.get("Range") for request in shop.requests] == [None, "bytes=300000-", "bytes=500000-"]


def test_a_later_run_resumes_what_an_earlier_one_left(shop: Shop, tmp_path: Path) -> None:
    shop.break_after = [100_000] * 6
    with pytest.raises(InputError, match="could not be downloaded") as caught:
        _fetch(shop, tmp_path)
    assert "600,000 bytes so far" in caught.value.where
    shop.requests.clear()
    assert _fetch(shop, tmp_path).read_bytes() == CONTENT
    assert [request.get("Range") for request in shop.requests] == ["bytes=600000-"]


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(shop: Shop, tmp_path: Path) -> None:
    shop.break_after = [100_000] * 6
    with pytest.raises(InputError):
        _fetch(shop, tmp_path)
    shop.content, shop.etag = CONTENT[::-1], '"v2"'
    assert _fetch(shop, tmp_path).read_bytes() == CONTENT[::-1]


def test_without_a_validator_a_partial_file_is_not_trusted(shop: Shop, tmp_path: Path) -> None:
    shop.etag = None
    shop.break_after = [300_000]
    assert _fetch(shop, tmp_path).read_bytes() == CONTENT
    assert [request.get("Range") for request in shop.requests] == [None, None]


def test_a_server_without_ranges_is_asked_for_everything_again(shop: Shop, tmp_path: Path) -> None:
    shop.accepts_ranges = False
    shop.break_after = [300_000]
    assert _fetch(shop, tmp_path, _sha256(CONTENT)).read_bytes() == CONTENT


def test_a_partial_file_that_is_complete_needs_no_more_bytes(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT)
    (tmp_path / f"{NAME}.part.version").write_text('"v1"')
    assert _fetch(shop, tmp_path, _sha256(CONTENT)).read_bytes() == CONTENT
    assert len(shop.requests) == 1


def test_a_partial_file_longer_than_the_servers_is_thrown_away(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT + b"more")
    (tmp_path / f"{NAME}.part.version").write_text('"v1"')
    assert _fetch(shop, tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_is_told_and_the_file_removed(shop: Shop, tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(InputError, match=f"expected {wrong}, got {_sha256(CONTENT)}"):
        _fetch(shop, tmp_path, wrong)
    assert _visible(tmp_path) == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_fails_for_the_moment_is_asked_again(shop: Shop, tmp_path: Path, status: int) -> None:
    shop.failures = [status, status]
    assert _fetch(shop, tmp_path).read_bytes() == CONTENT
    assert len(shop.requests) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_a_server_that_refuses_is_not_asked_again(shop: Shop, tmp_path: Path, status: int) -> None:
    shop.failures = [status]
    with pytest.raises(InputError, match=str(status)) as caught:
        _fetch(shop, tmp_path)
    assert len(shop.requests) == 1
    assert shop.url in caught.value.remedy


def test_without_a_network_the_message_says_what_to_fetch_and_where_to_put_it(tmp_path: Path) -> None:
    server = Shop()
    server.server_close()
    with pytest.raises(InputError, match="could not be downloaded") as caught:
        download(server.file(), tmp_path / "raw", setting="data.metadata_path", wait_seconds=0.001)
    assert server.url in caught.value.remedy
    assert str(tmp_path / "raw" / NAME) in caught.value.remedy
    assert "data.metadata_path=" in caught.value.remedy


def test_a_redirection_away_from_https_is_not_followed(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://elsewhere/reviews.json.gz"})
        return httpx.Response(200, content=b"altered on the way")

    client = httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True)
    file = RawFile(url=Address("https://shop.example/reviews.json.gz"), sha256=None)
    with pytest.raises(InputError, match="not https"):
        download(file, tmp_path, client=client, wait_seconds=0.001)
    assert _visible(tmp_path) == []


def test_an_address_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no address") as caught:
        download(RawFile(url=None, sha256=None), tmp_path)
    assert "data.reviews_path" in caught.value.remedy


@pytest.mark.parametrize("name", ["", ".", "..", "%2e%2e", "a%2f..", "..\\up", "a%00b", "a%0d%0ab"])
def test_an_address_that_names_no_file_writes_nothing(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    file = RawFile(url=Address(f"https://shop.example/{name}"), sha256=None)
    answers = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(200)))
    with pytest.raises(InputError, match="ends with no file's name"):
        download(file, inside, client=answers)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
