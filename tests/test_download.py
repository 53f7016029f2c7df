"""Fetching published files, from a server on this machine that can also misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from detzoo.recipes.download import DownloadError, cached_path, fetch

CONTENT = bytes(range(256)) * 9000  # more than two pieces
HASH = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT at every address but a few; counts what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride] # the stub types it too widely

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        page = self.path == "/page.pth"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/octet-stream")
        if self.path != "/chunks.pth":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 100_000 if self.path == "/broken.pth" else None])

    def log_message(self, format: str, *args: object) -> None:
        """Tests are quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DETZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("sha256", [HASH[:8], HASH, HASH[:8].upper(), None])
def test_a_file_arrives_whole_and_where_it_belongs(server: Server, cache: Path, sha256: str | None):
    path = fetch(server.url("zoo/model.pth"), sha256)
    assert path == cache / "127.0.0.1" / "zoo" / "model.pth"
    assert path.read_bytes() == CONTENT
    assert files(cache) == [path]


def test_the_second_time_needs_no_network(server: Server):
    url = server.url("model.pth")
    first = fetch(url, HASH[:8])
    server.shutdown()
    server.server_close()
    assert fetch(url, HASH[:8]) == first
    assert server.asked == ["/model.pth"]


def test_a_damaged_copy_is_fetched_again(server: Server):
    path = fetch(server.url("model.pth"), HASH[:8])
    path.write_bytes(CONTENT[:1000])
    assert fetch(server.url("model.pth"), HASH[:8]).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_a_length_need_not_be_announced(server: Server):
    assert fetch(server.url("chunks.pth"), HASH[:8]).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("missing.pth", None, r"missing\.pth cannot be fetched: 404"),
        ("broken.pth", None, r"broken\.pth broke off after 100000 (of \d+ )?bytes.*try again"),
        ("broken.pth", HASH[:8], r"broke off"),
        ("model.pth", "0123abcd", rf"has the SHA-256 {HASH[:8]}\.\.\., but 0123abcd\.\.\. was published"),
        ("page.pth", None, r"answers with a web page.*put it at .*page\.pth"),
    ],
)
def test_what_is_not_the_published_file_is_refused(
    server: Server, cache: Path, path: str, sha256: str | None, message: str
):
    with pytest.raises(DownloadError, match=message):
        fetch(server.url(path), sha256)
    assert files(cache) == []


def test_a_failed_renewal_keeps_what_was_there(server: Server):
    path = fetch(server.url("broken-later.pth"), HASH[:8])
    with pytest.raises(DownloadError, match="was published"):
        fetch(server.url("broken-later.pth"), "0123abcd")
    assert path.read_bytes() == CONTENT


def test_no_connection_names_the_host_and_the_way_out(server: Server):
    url = server.url("model.pth")
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"cannot reach 127\.0\.0\.1 .*put it at .*model\.pth"):
        fetch(url, HASH[:8])


@pytest.mark.parametrize("url", ["ftp://host/a.pth", "file:///etc/passwd", "model.pth", "http://host/", "https:///a"])
def test_only_web_addresses_of_files(url: str):
    with pytest.raises(DownloadError, match="no http or https address"):
        cached_path(url)


def test_addresses_stay_in_the_cache_and_apart(cache: Path):
    assert cached_path("https://host/../../etc/passwd") == cache / "host" / "etc" / "passwd"
    assert cached_path("https://host/%2e%2e/%2e%2e/x.pth") == cache / "host" / "x.pth"
    one, two = cached_path("https://host/open?id=1"), cached_path("https://host/open?id=2/..")
    assert one != two
    assert one.parent == two.parent == cache / "host"
