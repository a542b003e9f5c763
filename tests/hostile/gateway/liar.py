"""A gateway that says whatever a test wants: raw bytes on a real socket, so that it can break every rule there is."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Speech = Callable[[socket.socket, bytes], None]
"""Answers one request on a connection, given its head; may send anything, and may take as long as the test lets it."""


class Liar:
    """Listens on a free port of this machine; each connection is served by a thread of its own until the liar is closed."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self.closed.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in tuple(self._open):
            with suppress(OSError):  # it has ended meanwhile
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        while not self.closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(connection)
            self._start(lambda connection=connection: self._serve(connection))  # type: ignore[misc]

    def _serve(self, connection: socket.socket) -> None:
        """As long as the other side likes: who asks on a connection that was idle for a while finds it as it was."""
        try:
            with connection:
                while head := _head(connection):
                    self.speech(connection, head)
        except OSError:
            return
        finally:
            self._open.discard(connection)

    def drip(self, connection: socket.socket, piece: bytes, every_seconds: float) -> None:
        """The same bytes again and again until whoever reads hangs up, or the test is over."""
        while not self.closed.wait(every_seconds):
            connection.sendall(piece)


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


def answer(body: bytes, status: int = 200, **headers: str) -> bytes:
    """An honest HTTP answer with this body."""
    told = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in told.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def lying(speech: Speech) -> Iterator[Liar]:
    liar = Liar(speech)
    try:
        yield liar
    finally:
        liar.close()
