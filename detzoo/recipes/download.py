"""Published weights files: fetched once, checked, and kept in a cache folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

import detzoo
from detzoo.atomic import write_atomically

TIMEOUT = 30.0  # seconds without an answer
_PIECE = 1 << 20  # bytes read at once
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

    Raises:
        DownloadError: it is no http or https address of a file.
    """
    parts = urlsplit(url)
    steps = [step for step in PurePosixPath(unquote(parts.path)).parts if step not in ("/", "..")]
    if parts.scheme not in ("http", "https") or not parts.hostname or not steps:
        raise DownloadError(f"{url!r} is no http or https address of a file")
    if parts.query:
        steps[-1] += "_" + re.sub(r"[^\w.-]", "_", parts.query)
    return cache_dir().joinpath(parts.hostname, *steps)


def fetch(url: str, sha256: str | None = None) -> Path:
    """Path of a published file on this machine; downloads it unless a good copy is in the cache.

    The file appears in the cache whole or not at all. Where standard error is a terminal a progress bar is drawn.

    Args:
        url: http or https address; http is asked over TLS, as eight digits of a hash do not stop a forger.
        sha256: leading hex digits of the file's SHA-256; None: unknown, nothing is checked.

    Raises:
        Unreachable: no connection, or no such file there; a `DownloadError`.
        DownloadError: a broken transfer, a web page in place of a file, or another hash.
        OSError: the file cannot be written.
    """
    path = cached_path(url)
    if path.is_file() and (sha256 is None or _hash_of(path).startswith(sha256.lower())):
        return path
    with _open(url, path) as response:
        length = int(response.headers.get("Content-Length") or 0)
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
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in _LOCAL:
        parts = parts._replace(scheme="https")
    request = Request(urlunsplit(parts), headers={"User-Agent": f"detzoo/{detzoo.__version__}"})
    try:
        return urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        error.close()
        raise Unreachable(f"{url} cannot be fetched: {error.code} {error.reason}. {_by_hand(path)}") from None
    except (URLError, HTTPException, OSError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise Unreachable(f"cannot reach {parts.hostname} ({reason}). {_by_hand(path)}") from None


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
        advance(len(piece))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True)
