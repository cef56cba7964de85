"""Fetching, against a server on this machine that breaks off, forgets, lies or is not there."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from bedsieve.errors import BedsieveError
from bedsieve.ingest.fetch import fetch

BODY = b"#project: test\n" + bytes(range(32, 127)) * 40_000
SHA = hashlib.sha256(BODY).hexdigest()
TARGET = "A_2001_X_AIR_BM2.csv"


class Server:
    """One file, and how the server behaves at each request in turn (the last repeats)."""

    def __init__(self) -> None:
        self.body = BODY
        self.tag: str | None = '"v1"'
        self.ranges = True
        self.kind = "text/csv"
        self.script: list[Callable[[Server, BaseHTTPRequestHandler], None]] = [serve]
        self.requests: list[dict[str, str]] = []
        handler = type(
            "Handler", (BaseHTTPRequestHandler,), {"do_GET": lambda request: self._get(request)}
        )
        handler.log_message = lambda *_: None  # type: ignore[attr-defined]
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        # A client that hangs up is part of the play.
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.url = f"http://127.0.0.1:{self.http.server_port}/get/{TARGET}?entryid=a%3Ab"
        serving = {"poll_interval": 0.02}
        threading.Thread(target=self.http.serve_forever, kwargs=serving, daemon=True).start()

    def _get(self, request: BaseHTTPRequestHandler) -> None:
        step = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(dict(request.headers))
        step(self, request)


def serve(server: Server, request: BaseHTTPRequestHandler, stop: int | None = None) -> None:
    """The file, or the range asked for if the tag still holds; cut off at `stop` bytes."""
    begin = 0
    wanted = request.headers.get("Range")
    if wanted and server.ranges and request.headers.get("If-Range") == server.tag:
        begin = int(wanted.removeprefix("bytes=").rstrip("-"))
        if begin >= len(server.body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(server.body)}")
            request.end_headers()
            return
    request.send_response(206 if begin else 200)
    if begin:
        last = len(server.body) - 1
        request.send_header("Content-Range", f"bytes {begin}-{last}/{len(server.body)}")
    if server.tag:
        request.send_header("ETag", server.tag)
    request.send_header("Content-Type", server.kind)
    request.send_header("Content-Length", str(len(server.body) - begin))
    request.end_headers()
    request.wfile.write(server.body[begin:stop])


def cut_at(stop: int) -> Callable[[Server, BaseHTTPRequestHandler], None]:
    return lambda server, request: serve(server, request, stop)


def answer(code: int, **headers: str) -> Callable[[Server, BaseHTTPRequestHandler], None]:
    def step(_: Server, request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return step


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "raw" / TARGET


def get(server: Server, target: Path, **options: object) -> None:
    fetch(server.url, target, pause=0.01, **options)  # type: ignore[arg-type]


def nothing_left(target: Path) -> bool:
    return not target.parent.exists() or not list(target.parent.iterdir())


def test_whole_file_with_its_checksum(server: Server, target: Path) -> None:
    get(server, target, sha256=SHA, size=len(BODY))
    assert target.read_bytes() == BODY
    assert list(target.parent.iterdir()) == [target]
    assert len(server.requests) == 1


def test_connection_breaks_twice_and_the_rest_is_asked_for(server: Server, target: Path) -> None:
    server.script = [cut_at(1_500_000), cut_at(3_000_000), serve]
    get(server, target, sha256=SHA)
    assert target.read_bytes() == BODY
    ranges = [request.get("Range") for request in server.requests]
    assert ranges == [None, "bytes=1500000-", "bytes=3000000-"]
    assert server.requests[1]["If-Range"] == '"v1"'


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(server: Server, target: Path) -> None:
    server.script = [cut_at(2_000_000), answer(503)]
    with pytest.raises(BedsieveError, match="gave up"):
        get(server, target, attempts=2)
    assert not target.exists()
    server.script = [serve]
    server.requests.clear()
    get(server, target, sha256=SHA)
    assert server.requests[0]["Range"] == "bytes=2000000-"


def test_without_ranges_it_starts_again(server: Server, target: Path) -> None:
    server.ranges = False
    server.script = [cut_at(1_500_000), serve]
    get(server, target, sha256=SHA)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("tag", [None, 'W/"v1"'])
def test_without_a_strong_validator_no_range_is_asked_for(
    server: Server, target: Path, tag: str | None
) -> None:
    server.tag = tag
    server.script = [cut_at(1_500_000), serve]
    get(server, target, sha256=SHA)
    assert "Range" not in server.requests[1]


def test_a_file_that_changes_in_between_is_not_mixed(server: Server, target: Path) -> None:
    changed = BODY[::-1]

    def change(server: Server, request: BaseHTTPRequestHandler) -> None:
        server.body, server.tag = changed, '"v2"'
        serve(server, request)

    server.script = [cut_at(1_500_000), change]
    get(server, target)
    assert target.read_bytes() == changed


def test_whole_but_not_yet_installed(server: Server, target: Path) -> None:
    server.script = [cut_at(len(BODY) - 1), answer(503)]
    with pytest.raises(BedsieveError):
        get(server, target, attempts=1)
    part = target.with_name(f".{TARGET}.part")
    part.write_bytes(BODY)
    server.script = [serve]
    get(server, target, sha256=SHA)
    assert server.requests[-1]["Range"] == f"bytes={len(BODY)}-"
    assert target.read_bytes() == BODY


def test_503_then_the_file(server: Server, target: Path) -> None:
    server.script = [answer(503), answer(429, Retry_After="0"), serve]
    get(server, target, sha256=SHA)
    assert len(server.requests) == 3


def test_503_for_ever_names_host_and_remedy(server: Server, target: Path) -> None:
    server.script = [answer(503)]
    with pytest.raises(BedsieveError) as caught:
        get(server, target, attempts=3, note="https://doi.org/10.5285/x")
    said = str(caught.value)
    assert "gave up on 127.0.0.1 after 3 attempts" in said
    assert f"from https://doi.org/10.5285/x, and put it at {target}" in said
    assert len(server.requests) == 3
    assert nothing_left(target)


def test_404_is_not_tried_again(server: Server, target: Path) -> None:
    server.script = [answer(404)]
    with pytest.raises(BedsieveError, match=r"answered 404 .* put it at .*A_2001"):
        get(server, target)
    assert len(server.requests) == 1
    assert nothing_left(target)


@pytest.mark.parametrize("sha256", [SHA, ""])
def test_a_file_that_stands_is_taken_as_it_is(server: Server, target: Path, sha256: str) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY)
    before = target.stat()
    get(server, target, sha256=sha256)
    fetch("", target, sha256=sha256)
    assert target.stat() == before
    assert not server.requests


def test_a_file_of_another_checksum_is_replaced(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_text("old")
    get(server, target, sha256=SHA)
    assert target.read_bytes() == BODY


def test_wrong_checksum_leaves_what_was_there(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.write_text("old")
    with pytest.raises(BedsieveError, match=f"sha256 is {SHA}, expected {'0' * 64}"):
        get(server, target, sha256="0" * 64)
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_wrong_size(server: Server, target: Path) -> None:
    with pytest.raises(BedsieveError, match=r"3,800,015 bytes arrived, 10 were expected"):
        get(server, target, size=10)
    assert nothing_left(target)


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><html>", b"\n <html lang='en'>", b"<body>"])
def test_a_login_page_is_no_csv(server: Server, target: Path, page: bytes) -> None:
    server.body, server.kind = page, "text/html; charset=utf-8"
    with pytest.raises(BedsieveError, match="sent a web page instead of the file"):
        get(server, target)
    assert nothing_left(target)


def test_csv_declared_as_html_is_taken(server: Server, target: Path) -> None:
    server.kind = "text/html"
    get(server, target, sha256=SHA)
    assert target.read_bytes() == BODY


def test_empty_file_is_an_error(server: Server, target: Path) -> None:
    server.body = b""
    with pytest.raises(BedsieveError, match="the server sent nothing"):
        get(server, target, attempts=2)
    assert nothing_left(target)


def test_no_server(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(BedsieveError, match=r"127\.0\.0\.1 cannot be reached.*Without internet"):
        fetch(f"http://127.0.0.1:{port}/a.csv", target, attempts=2, pause=0.01)
    assert nothing_left(target)


def test_no_internet(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BedsieveError, match=r"the name data\.example\.org cannot be resolved"):
        fetch("https://data.example.org/a.csv", target, attempts=2, pause=0.01)


def test_no_address(target: Path) -> None:
    with pytest.raises(
        BedsieveError, match=r"no address is known.*from https://doi.org/1, and put"
    ):
        fetch("", target, note="https://doi.org/1")


@pytest.mark.parametrize("url", ["http://example.org/a.csv", "file:///etc/passwd", "ftp://a.org/b"])
def test_https_only(target: Path, url: str) -> None:
    with pytest.raises(BedsieveError, match="Correct the sample sheet"):
        fetch(url, target)


def test_redirects_are_followed_but_not_off_this_machine(server: Server, target: Path) -> None:
    server.script = [answer(302, Location=server.url), serve]
    get(server, target, sha256=SHA)
    target.unlink()
    server.requests.clear()
    server.script = [answer(302, Location="http://example.org/a.csv")]
    with pytest.raises(BedsieveError, match=r"redirects to .http://example\.org/a\.csv"):
        get(server, target)
    assert nothing_left(target)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def test_zip_gives_the_member_of_the_target_name(server: Server, target: Path) -> None:
    server.body = zipped(**{f"BM2__{TARGET}": BODY, "other.csv": b"x", "readme.txt": b"y"})
    get(server, target, sha256=SHA)
    assert list(target.parent.iterdir()) == [target]


def test_zip_cannot_write_elsewhere(server: Server, target: Path, tmp_path: Path) -> None:
    server.body = zipped(**{"..__..__..__evil.csv": BODY})
    get(server, target, sha256=SHA)
    assert sorted(path.name for path in tmp_path.rglob("*")) == [TARGET, "raw"]
    assert not list(tmp_path.parent.glob("evil.csv"))


def test_zip_that_would_fill_the_disk_is_refused_before_it_is_unpacked(
    server: Server, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.body = zipped(**{TARGET: bytes(10_000_000)})
    assert len(server.body) < 20_000
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=9_999_999))
    monkeypatch.setattr("shutil.copyfileobj", None)
    with pytest.raises(BedsieveError, match=r"would take 10,000,000 bytes, and 9,999,999 are free"):
        get(server, target)
    assert nothing_left(target)


def test_zip_without_the_csv_and_broken_zip(server: Server, target: Path) -> None:
    server.body = zipped(**{"a.csv": b"1", "b.csv": b"2"})
    with pytest.raises(BedsieveError, match="holds 2 CSV files"):
        get(server, target)
    whole = bytearray(zipped(**{TARGET: BODY}))
    whole[200:260] = bytes(60)
    server.body = bytes(whole)
    with pytest.raises(BedsieveError, match="its zip cannot be read"):
        get(server, target)
    assert nothing_left(target)


def test_two_processes_do_not_write_the_same_part(server: Server, target: Path) -> None:
    held = threading.Event()
    go_on = threading.Event()

    def wait(server: Server, request: BaseHTTPRequestHandler) -> None:
        held.set()
        go_on.wait(10)
        serve(server, request)

    server.script = [wait]
    first = threading.Thread(target=get, args=(server, target))
    first.start()
    assert held.wait(10)
    with pytest.raises(BedsieveError, match="another process is fetching"):
        get(server, target)
    go_on.set()
    first.join(10)
    assert target.read_bytes() == BODY


def test_full_disk_is_not_taken_for_the_network(server: Server, target: Path) -> None:
    target.parent.mkdir()
    target.with_name(f".{TARGET}.part").symlink_to("/dev/full")
    with pytest.raises(BedsieveError, match=r"cannot be written: .* Free some space"):
        get(server, target)
    assert not target.exists()
