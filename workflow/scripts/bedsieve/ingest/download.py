"""A download that survives: what has arrived is kept beside the target, and the rest asked for.

The archive's files reach 2 GB and its connections break. A transfer is taken up again where the
server can vouch that the file is still the same one (an ETag or its date), else begun anew, and
tried again for as long as it makes headway. What comes out is the part file, whole, or an error
that names the host and what to do.
"""

from __future__ import annotations

import email.message
import fcntl
import http.client
import json
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bedsieve.errors import BedsieveError
from bedsieve.ingest.sheet import LOOPBACK, check_address
from bedsieve.progress import Progress

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_LONGEST_PAUSE = 120.0
# What passes by itself: time-outs, throttling and a server in trouble.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class _PassingError(Exception):
    """A transfer that may succeed when tried again, perhaps after some seconds."""

    def __init__(self, why: str, pause: float | None = None) -> None:
        super().__init__(why)
        self.pause = pause


@dataclass(frozen=True)
class Part:
    """What has arrived, and what the server said of it, kept for a later attempt.

    `target` is what messages name, `elsewhere` how a person gets the file without this machine.
    """

    url: str
    target: Path
    elsewhere: str

    @property
    def path(self) -> Path:
        """The bytes that are here."""
        return self.target.with_name(f".{self.target.name}.part")

    @property
    def state(self) -> Path:
        """The note of where they are from."""
        return self.target.with_name(f".{self.target.name}.part.json")

    @property
    def host(self) -> str:
        """Who has the file."""
        return urlsplit(self.url).hostname or self.url

    @contextmanager
    def alone(self) -> Iterator[Part]:
        """Keep out a second process that fetches the same file.

        Raises
        ------
        BedsieveError
            If there is one, or the folder cannot be written.
        """
        with self.writing():
            self.target.parent.mkdir(parents=True, exist_ok=True)
            lock = open(self.path, "ab")  # noqa: SIM115
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise self.error(
                    "another process is fetching this file. Wait for it, or stop it."
                ) from None
            try:
                yield self
            finally:
                if self.path.exists() and not self.path.stat().st_size:
                    self.discard()

    def resumable(self) -> tuple[int, str]:
        """Bytes that are here, and the validator that they came under; (0, "") to start anew."""
        try:
            state = json.loads(self.state.read_text())
        except (FileNotFoundError, ValueError):
            return 0, ""
        here = self.path.stat().st_size
        same = state.get("url") == self.url and state.get("validator")
        return (here, str(state["validator"])) if same and here else (0, "")

    def begin(self, headers: email.message.Message) -> None:
        """Start from nothing, noting what identifies the file on the server."""
        tag = headers.get("ETag", "")
        # A weak tag promises the same meaning, not the same bytes.
        validator = tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")
        with self.writing():
            os.truncate(self.path, 0)
            self.state.write_text(json.dumps({"url": self.url, "validator": validator}))

    def restart(self) -> None:
        """Forget what is here."""
        os.truncate(self.path, 0)
        self.state.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind."""
        self.path.unlink(missing_ok=True)
        self.state.unlink(missing_ok=True)

    def error(self, text: str) -> BedsieveError:
        """An error that names the target."""
        return BedsieveError(f"{self.target}: {text}")

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell trouble with the disk from trouble with the network: both are OSErrors."""
        try:
            yield
        except OSError as error:
            raise self.error(
                f"cannot be written: {error.strerror}. Free some space or choose another folder, "
                "then run the same command again."
            ) from error


def download(part: Part, attempts: int, pause: float) -> None:
    """Fill a part file, in as many attempts as it takes while they make headway.

    Parameters
    ----------
    part : Part
        Held alone.
    attempts : int
        Attempts in a row that may bring nothing.
    pause : float
        Seconds before the second attempt; doubled after each that brings nothing.

    Raises
    ------
    BedsieveError
        Naming target, host and remedy.
    """
    failures = 0
    while True:
        before = part.path.stat().st_size
        try:
            return _attempt(part)
        except _PassingError as trouble:
            failures = 1 if part.path.stat().st_size > before else failures + 1
            if failures >= attempts:
                raise part.error(
                    f"gave up on {part.host} after {attempts} attempts: {trouble}. Run the same "
                    f"command again once it can be reached. Without internet: {part.elsewhere}"
                ) from trouble
            wait = trouble.pause if trouble.pause is not None else pause * 2 ** (failures - 1)
            time.sleep(min(wait, _LONGEST_PAUSE))


def _attempt(part: Part) -> None:
    here, validator = part.resumable()
    headers = {"User-Agent": "bedsieve", "Accept-Encoding": "identity"}
    if here:
        headers |= {"Range": f"bytes={here}-", "If-Range": validator}
    request = urllib.request.Request(part.url, headers=headers)
    try:
        with _opener(part.url).open(request, timeout=_TIMEOUT) as reply:
            _receive(reply, part, here)
    except urllib.error.HTTPError as error:
        _refused(error, part, here)
    except urllib.error.URLError as error:
        _unreachable(error.reason, part)
    except (http.client.HTTPException, OSError) as error:
        raise _PassingError(f"the connection broke ({error or type(error).__name__})") from error


def _receive(reply: Any, part: Part, here: int) -> None:
    """Write a reply's body behind what is here (206), or over it (200)."""
    if reply.status != 206:
        here = 0
        part.begin(reply.headers)
    elif not reply.headers.get("Content-Range", "").startswith(f"bytes {here}-"):
        part.restart()
        raise _PassingError("the server sent another range than was asked for")
    length = reply.headers.get("Content-Length", "")
    total = here + int(length) if length.isdigit() else None
    progress = Progress(f"fetch {part.target.name}", (total or 0) / 1e6, unit="MB")
    progress.advance(here / 1e6)
    with part.writing():
        out = open(part.path, "ab")  # noqa: SIM115
    with out:
        while piece := reply.read(_CHUNK):
            if not here:
                _check_beginning(piece, reply, part)
            with part.writing():
                out.write(piece)
                out.flush()
            here += len(piece)
            progress.advance(len(piece) / 1e6)
    if total is not None and here < total:
        raise _PassingError(f"the connection broke after {here:,} of {total:,} bytes")
    if not here:
        raise _PassingError("the server sent nothing")


def _check_beginning(piece: bytes, reply: Any, part: Part) -> None:
    start = piece[:512].lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    declared = "text/html" in reply.headers.get("Content-Type", "")
    if start.startswith((b"<!doctype html", b"<html")) or (declared and start.startswith(b"<")):
        part.restart()
        raise part.error(
            f"{urlsplit(reply.url).hostname} sent a web page instead of the file (a login or "
            f"landing page, perhaps). {part.elsewhere}"
        )


def _refused(error: urllib.error.HTTPError, part: Part, here: int) -> None:
    if error.code == 416 and here:
        # Nothing beyond what is here: either it is whole, or another file than it was.
        if error.headers.get("Content-Range") == f"bytes */{here}":
            return
        part.restart()
        raise _PassingError("the file on the server has changed") from error
    said = f"{part.host} answered {error.code} ({error.reason})"
    if error.code in _PASSING:
        after = error.headers.get("Retry-After", "")
        raise _PassingError(said, float(after) if after.isdigit() else None) from error
    raise part.error(f"{said} for {part.url}. {part.elsewhere}") from error


def _unreachable(reason: object, part: Part) -> None:
    if isinstance(reason, ssl.SSLCertVerificationError):
        raise part.error(
            f"the certificate of {part.host} cannot be verified ({reason.verify_message}). "
            f"Check this machine's clock and certificates. {part.elsewhere}"
        )
    if isinstance(reason, socket.gaierror):
        raise _PassingError(f"the name {part.host} cannot be resolved (is there internet here?)")
    raise _PassingError(f"{part.host} cannot be reached ({reason})")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects, but never from https down to http or to another kind of address."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        at_home = urlsplit(req.full_url).scheme == "http"
        fault = check_address(newurl, allow_http=at_home)
        if fault is not None:
            raise BedsieveError(f"{req.full_url} redirects to {newurl!r}, which {fault}.")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(url: str) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if urlsplit(url).hostname in LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)
