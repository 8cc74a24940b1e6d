"""Replies of an HTTP endpoint: bounded in time and in size, whatever the server sends."""

from __future__ import annotations

import http.client
import socket
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

MAX_REPLY_BYTES = 2**20
PIECE_BYTES = 2**16


class OddReply(ValueError):
    """Raised for a reply that came, but is not one that can be read; the message holds nothing of it."""


class Line:
    """Connection of one request, which another thread can cut."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.is_cut = False

    def hold(self, connected: socket.socket) -> None:
        """Keep the socket; ConnectionAbortedError if the line was cut while it connected."""
        self.socket = connected
        if self.is_cut:
            connected.close()
            raise ConnectionAbortedError("the deadline of the reply is over")

    def cut(self) -> None:
        """End every wait for the server, in whatever part of its reply."""
        self.is_cut = True
        if self.socket is not None:
            with suppress(OSError):  # it has ended by itself
                self.socket.shutdown(socket.SHUT_RDWR)


class LinedRequest(urllib.request.Request):
    """Request that holds the line of its connection."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.line = Line()


class _LineHandler(urllib.request.AbstractHTTPHandler):
    """Puts the socket of a LinedRequest on its line."""

    def do_open(self, http_class: Any, req: Any, **options: Any) -> Any:
        def connection_of(host: str, **given: Any) -> http.client.HTTPConnection:
            connection: http.client.HTTPConnection = http_class(host, **given)
            connect = connection.connect

            def connect_and_hold() -> None:
                connect()
                req.line.hold(connection.sock)

            connection.connect = connect_and_hold
            return connection

        return super().do_open(connection_of, req, **options)  # pyright: ignore[reportArgumentType]


class _PlainHandler(_LineHandler, urllib.request.HTTPHandler):
    pass


class _SecureHandler(_LineHandler, urllib.request.HTTPSHandler):
    pass


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes every redirect an error: words and key go to the named URL only."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


Opener = Callable[..., Any]


def make_opener() -> Opener:
    """Function that opens a LinedRequest, follows no redirect, and takes `timeout`."""
    return urllib.request.build_opener(_NoRedirect, _PlainHandler, _SecureHandler).open


def fetch(opener: Opener, request: LinedRequest, seconds: float) -> bytes:
    """Body of the reply to a request.

    seconds: from the look-up of the address to the last byte.
    Raises TimeoutError when they are over, OddReply beyond MAX_REPLY_BYTES, and what urllib raises.
    """
    found: SimpleQueue[bytes | BaseException] = SimpleQueue()

    def read() -> None:
        try:
            found.put(_body(opener, request, seconds))
        except BaseException as error:  # raised below, in the thread that waits
            found.put(error)

    # a thread of its own: a socket's timeout starts again with every byte, and looking up an address has none
    Thread(target=read, name="reply", daemon=True).start()
    try:
        reply = found.get(timeout=seconds)
    except Empty:
        request.line.cut()
        raise TimeoutError(f"no whole reply within {seconds:g} s") from None
    if isinstance(reply, BaseException):
        raise reply
    return reply


def _body(opener: Opener, request: LinedRequest, seconds: float) -> bytes:
    pieces, size = [], 0
    with opener(request, timeout=seconds) as response:
        while piece := response.read1(PIECE_BYTES):  # read() would wait for a whole piece
            pieces.append(piece)
            size += len(piece)
            if size > MAX_REPLY_BYTES:
                raise OddReply(f"a reply of more than {MAX_REPLY_BYTES // 2**20} MiB")
    return b"".join(pieces)
