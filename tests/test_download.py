"""Fetching published files, from a server on this machine that can also misbehave."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest

from detzoo.recipes import download
from detzoo.recipes.download import DownloadError, _Redirects, cached_path, fetch

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
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
            return
        if self.path == "/missing.pth":
            self.send_error(404)
            return
        page = self.path == "/page.pth"
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if page else "application/octet-stream")
        if self.path == "/odd.pth":
            self.send_header("Content-Length", "-7 and more")
        elif self.path == "/huge.pth":
            self.send_header("Content-Length", str(1 << 50))
        elif self.path != "/chunks.pth":
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


@pytest.mark.parametrize(
    "url",
    [
        *("https://../a.pth", "https://host:port/a.pth", "https://[::1/a.pth", "https://ho st/a", "https://h\x00/a"),
        *("https://host/..", "https://host/a/", "https://host//", "https://\\etc/a", "data:text/plain,x", ""),
    ],
)
def test_what_is_no_address(url: str):
    with pytest.raises(DownloadError, match="no http or https address"):
        cached_path(url)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "//etc/passwd",
            "///etc/passwd",
            "/%2e%2e/%2e%2e/x",
            "/..%2f..%2fx",
            "/%2fetc/x",
            "/%2f%2fetc/x",
            "/a\\..\\x",
        ),
        *(
            "/%00",
            "/a\\..\\x",
            "/a%0ab",
            "/C:/x",
            "/...",
            "/ ",
            "/" + "x" * 5000,
            "/~/x",
            "/a?../../x",
            "/a?/x",
            "/%1b[2J",
        ),
    ],
)
def test_no_address_leads_out_of_the_cache(cache: Path, path: str):
    found = cached_path(f"https://host{path}")
    assert found.parent.resolve().is_relative_to((cache / "host").resolve())
    assert ".." not in found.parts
    assert len(found.name) < 255
    assert found.name.isprintable()
    assert not {"\\", ":", "\0"} & set(found.name)


def test_odd_addresses_stay_apart():
    urls = ("https://h/a:b", "https://h/a;b", "https://h/a?x=1;2", "https://h/a?x=1:2", "https://h/a_b")
    assert len({cached_path(url) for url in urls}) == len(urls)


def test_a_redirect_on_this_machine_is_followed(server: Server):
    assert fetch(server.url(f"to?{server.url('model.pth')}"), HASH[:8]).read_bytes() == CONTENT


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "http://example.invalid/a.pth", "ftp://host/a.pth", "data:,x"]
)
def test_a_redirect_never_leaves_https(server: Server, cache: Path, target: str):
    with pytest.raises(DownloadError, match=r"leads out of https|no http or https address|is not allowed"):
        fetch(server.url(f"to?{target}"))
    assert files(cache) == []


def test_https_does_not_lead_to_this_machine():
    request = Request("https://host/a.pth")
    with pytest.raises(DownloadError, match="leads out of https"):
        _Redirects().redirect_request(request, None, 302, "", {}, "http://127.0.0.1/a.pth")
    followed = _Redirects().redirect_request(request, None, 302, "", {}, "https://other/a.pth")
    assert followed is not None
    assert followed.full_url == "https://other/a.pth"


def test_a_file_has_a_size(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch):
    assert fetch(server.url("odd.pth"), HASH[:8]).read_bytes() == CONTENT
    with pytest.raises(DownloadError, match="more than 16 GB"):
        fetch(server.url("huge.pth"))
    monkeypatch.setattr(download, "MOST_BYTES", 1 << 20)
    with pytest.raises(DownloadError, match="which no published file has"):
        fetch(server.url("chunks.pth"))
    assert [path.name for path in files(cache)] == ["odd.pth"]


@pytest.mark.parametrize("sha256", ["", "0123", "x" * 8])
def test_a_hash_that_checks_nothing(sha256: str):
    with pytest.raises(DownloadError, match="no part of a SHA-256"):
        fetch("https://host/a.pth", sha256)


def test_letters_that_no_request_can_hold(server: Server):
    assert fetch(server.url("mödel 1.pth"), HASH[:8]).read_bytes() == CONTENT


def test_addresses_stay_in_the_cache_and_apart(cache: Path):
    assert cached_path("https://host/../../etc/passwd") == cache / "host" / "etc" / "passwd"
    assert cached_path("https://host/%2e%2e/%2e%2e/x.pth") == cache / "host" / "x.pth"
    one, two = cached_path("https://host/open?id=1"), cached_path("https://host/open?id=2/..")
    assert one != two
    assert one.name == "open_id=1"
    assert one.parent == two.parent == cache / "host"
