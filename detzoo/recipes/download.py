"""Published weights files: fetched once, checked, and kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import detzoo
from detzoo.atomic import write_atomically

if TYPE_CHECKING:
    from rich.progress import Progress

TIMEOUT = 30.0  # seconds without an answer
_PIECE = 1 << 20  # bytes read at once
_LONGEST_STEP = 200  # characters of a folder's or file's name
MOST_BYTES = 16 << 30  # of a file
_LOCAL = ("127.0.0.1", "::1", "localhost")


class DownloadError(RuntimeError):
    """A file that could not be fetched, or is not the published one; the message names the address and the mend."""


class Unreachable(DownloadError):
    """There is no way to the file from here: no network, no such host, or the host refuses."""


def cache_dir() -> Path:
    """Where fetched files are kept: the folder that ``DETZOO_CACHE`` names, else ``~/.cache/detzoo``."""
    return Path(os.environ.get("DETZOO_CACHE") or Path.home() / ".cache" / "detzoo").expanduser()


def cached_path(url: str) -> Path:
    """Where the file of an address is kept: the cache folder, then host and path as in the address.

    Letters that file systems take amiss become ``_``; then a part of the address's hash keeps two such files apart.

    Raises:
        DownloadError: it is no http or https address of a file.
    """
    parts = _split(url)
    steps = [step for step in unquote(parts.path).split("/") if step not in ("", ".", "..")]
    if not steps or parts.path.endswith("/"):
        raise DownloadError(f"{url[:200]!r} is no http or https address of a file")
    if parts.query:
        steps[-1] += f"_{parts.query}"
    clean = [re.sub(r"[^\w.+=@,~ -]", "_", step) for step in (parts.hostname or "", *steps)]
    clean = [step if len(step) <= _LONGEST_STEP else step[-_LONGEST_STEP:] for step in clean]
    clean = [f"_{step}" if step.strip(". ") == "" else step for step in clean]
    if clean[1:] != steps:
        clean[-1] += f"_{hashlib.sha256(url.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return cache_dir().joinpath(*clean)


def _split(url: str) -> SplitResult:
    """The parts of an address.

    Raises:
        DownloadError: it is no http or https address of a host.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w:][\w.:-]*", parts.hostname or ""):
        raise DownloadError(f"{url[:200]!r} is no http or https address of a file")
    return parts


def fetch(url: str, sha256: str | None = None) -> Path:
    """Path of a published file on this machine; downloads it unless a good copy is in the cache.

    The file appears in the cache whole or not at all. Where standard error is a terminal a progress bar is drawn.

    Args:
        url: http or https address; http is asked over TLS, as eight digits of a hash do not stop a forger.
        sha256: leading hex digits of the file's SHA-256; None: unknown, nothing is checked.

    Raises:
        Unreachable: no connection, or no such file there; a `DownloadError`.
        DownloadError: a broken transfer, a web page in place of a file, one that is too large, or another hash.
        OSError: the file cannot be written.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{8,64}", sha256):
        raise DownloadError(f"{sha256[:80]!r} is no part of a SHA-256: 8 to 64 hex digits")
    path = cached_path(url)
    if path.is_file() and (sha256 is None or _hash_of(path).startswith(sha256.lower())):
        return path
    with _open(url, path) as response:
        announced = response.headers.get("Content-Length") or ""
        length = int(announced) if announced.isdecimal() and len(announced) < 20 else 0
        if length > MOST_BYTES:
            raise DownloadError(_too_large(url))
        if response.headers.get_content_type() == "text/html":
            raise DownloadError(f"{url} answers with a web page, not with the file. {_by_hand(path)}")

        def write(file: Path) -> None:
            with file.open("wb") as sink, _bar() as bar:
                task = bar.add_task(path.name, total=length or None)
                digest, size = _copy(response, sink, url, lambda count: bar.advance(task, count))
            if length and size != length:
                raise DownloadError(f"{url} broke off after {size} of {length} bytes; try again")
            if sha256 is not None and not digest.startswith(sha256.lower()):
                raise DownloadError(
                    f"{url} has the SHA-256 {digest[: max(8, len(sha256))]}..., but {sha256}... was published: "
                    "it is damaged or was replaced, and is not kept"
                )

        return write_atomically(path, write)


def _open(url: str, path: Path) -> HTTPResponse:
    parts = _split(url)
    parts = parts._replace(path=quote(parts.path, safe="/%:@!$&'()*+,;=~"), fragment="")
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        parts = parts._replace(scheme="https")
    request = Request(urlunsplit(parts), headers={"User-Agent": f"detzoo/{detzoo.__version__}"})
    try:
        return _OPENER.open(request, timeout=TIMEOUT)
    except DownloadError:
        raise
    except HTTPError as error:
        error.close()
        raise Unreachable(f"{url} cannot be fetched: {error.code} {error.reason}. {_by_hand(path)}") from None
    except (URLError, HTTPException, OSError, ValueError) as error:  # ValueError: letters that no request can hold
        reason = error.reason if isinstance(error, URLError) else error
        raise Unreachable(f"cannot reach {parts.hostname} ({reason}). {_by_hand(path)}") from None


class _Redirects(HTTPRedirectHandler):
    """Follows a server to another address, but never out of https; this machine itself may use http."""

    def redirect_request(self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Request | None:
        parts = _split(newurl)
        if parts.scheme != "https" and not {parts.hostname, _split(req.full_url).hostname} <= set(_LOCAL):
            raise DownloadError(f"{req.full_url} leads out of https, to {newurl[:200]!r}; it is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = build_opener(_Redirects)


def _too_large(url: str) -> str:
    return f"{url} has more than {MOST_BYTES >> 30} GB, which no published file has; it is not kept"


def _by_hand(path: Path) -> str:
    return f"Fetch the file elsewhere and put it at {path}"


def _copy(response: HTTPResponse, sink: BinaryIO, url: str, advance: Callable[[int], None]) -> tuple[str, int]:
    """Hex SHA-256 and number of the bytes that went from ``response`` to ``sink``."""
    digest, size = hashlib.sha256(), 0
    while True:
        try:
            piece = response.read(_PIECE)
        except (HTTPException, OSError) as error:
            raise DownloadError(f"{url} broke off after {size} bytes ({error}); try again") from None
        if not piece:
            return digest.hexdigest(), size
        sink.write(piece)
        digest.update(piece)
        size += len(piece)
        if size > MOST_BYTES:
            raise DownloadError(_too_large(url))
        advance(len(piece))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bar() -> Progress:
    # only here: nothing else of looking around the zoo needs it
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True)
