"""The HTTP under `hub_server`: requests in, answers out. Chunked bodies, ranges, HEAD."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit


class RefusedError(Exception):
    """An answer of 4xx, with the code that the client turns into its own error class."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Request:
    """What a route may look at; `groups` are the named parts of the path, `token` may be None."""

    body: bytes
    groups: dict[str, str]
    token: str | None

    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")


@dataclass
class Answer:
    """Status, body and headers; a dict or list body goes out as JSON."""

    body: object = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class Hold:
    """A gate half way through each upload: `reached` is set when one waits at it."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()


@dataclass
class Site:
    """Routes are (verb, pattern of the whole path, function of a `Request`); the first wins."""

    routes: list[tuple[str, str, Callable[[Request], Answer]]]
    calls: list[str] = field(default_factory=list)
    hold: Hold | None = None

    def answer(self, verb: str, path: str, body: bytes, token: str | None) -> Answer:
        for wanted, pattern, route in self.routes:
            match = re.fullmatch(pattern, path)
            if verb == wanted and match:
                groups = {k: v for k, v in match.groupdict().items() if v is not None}
                return route(Request(body, groups, token))
        raise RefusedError(404, f"nothing here for {verb} {path}")


class Handler(BaseHTTPRequestHandler):
    """Reads one request, asks the site, writes the answer. A subclass sets `site`."""

    protocol_version = "HTTP/1.1"
    site: Site

    def do_GET(self) -> None:
        self._serve("GET")

    def do_HEAD(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_PUT(self) -> None:
        self._serve("PUT")

    def log_message(self, *_: object) -> None:
        """Nothing: tests read `site.calls`."""

    def _serve(self, verb: str) -> None:
        path = unquote(urlsplit(self.path).path)
        self.site.calls.append(f"{self.command} {path}")
        try:
            self._send(self._answer(verb, path, b"".join(self._body())))
        except ConnectionError:
            self.close_connection = True

    def _answer(self, verb: str, path: str, body: bytes) -> Answer:
        _, _, token = (self.headers.get("Authorization") or "").partition("Bearer ")
        try:
            return self.site.answer(verb, path, body, token or None)
        except RefusedError as refused:
            headers = {"X-Error-Message": str(refused)}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            return Answer({"error": str(refused)}, refused.status, headers)

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            yield from self._chunks()
            return
        size = int(self.headers.get("Content-Length") or 0)
        yield self._read(size // 2)
        if self.command == "PUT" and self.site.hold is not None:
            self.site.hold.reached.set()
            self.site.hold.release.wait()
        yield self._read(size - size // 2)

    def _chunks(self) -> Iterator[bytes]:
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self._read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _read(self, size: int) -> bytes:
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionError("the client went away")
        return content

    def _send(self, answer: Answer) -> None:
        content, status, headers = answer.body, answer.status, dict(answer.headers)
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted and status == 200:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        self._write(status, headers | {"Content-Length": str(len(content))}, content)

    def _write(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
