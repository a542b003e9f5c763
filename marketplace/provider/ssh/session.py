"""One channel of somebody's SSH connection, and the program in the sandbox that it is joined to.

Everything is passed on as fast as the slower side takes it: a client that does not read holds the program, and a program
that does not read holds the client. Neither holds anything of the agent's but this channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import IO, Any, Final

import asyncssh
import structlog

from marketplace.domain.ssh import EntryRefused
from marketplace.provider.executors.entrance import Entrance, JobSession, Program, Terminal, is_readable

FILES: Final = "marketplace.provider.ssh.files"
_LOOK_SECONDS: Final = 1.0
"""Between two looks whether all that a program has printed was passed on."""
_WAITING_BYTES: Final = 1 << 18
_MOST_SIDE: Final = 10_000
_NOT_STARTED: Final = 126

_log = structlog.get_logger()


class SshSession(asyncssh.SSHServerSession[bytes]):
    """A shell, a command or a file transfer. ``leave`` is called once, when it is over."""

    def __init__(self, entrance: Entrance, leave: Callable[[], None]) -> None:
        self._entrance, self._leave = entrance, leave
        self._terminal: Terminal | None = None
        self._start: Callable[[], JobSession] = lambda: self._entrance.run(Program(terminal=self._terminal))
        self._session: JobSession | None = None
        self._files: list[IO[bytes]] = []
        self._outputs: list[_Output] = []
        self._early: list[bytes] = []
        self._input: asyncio.WriteTransport | None = None
        self._is_input_over = self._is_lost = False
        self._running: asyncio.Task[None] | None = None

    # What asyncssh tells

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel, self._writing = chan, _Input(chan)

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Any) -> bool:
        columns, rows = (min(max(side, 1), _MOST_SIDE) for side in term_size[:2])
        kind = term_type if term_type.isascii() and term_type.isprintable() and 0 < len(term_type) <= 64 else "xterm"
        self._terminal = Terminal(kind, rows, columns)
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: bytes | str) -> bool:
        line = command.decode(errors="surrogateescape") if isinstance(command, bytes) else command
        if "\0" in line:
            return False
        self._start = lambda: self._entrance.run(Program(line=line, terminal=self._terminal))
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._start = lambda: self._entrance.run_module(FILES)
        return subsystem == "sftp"

    def session_started(self) -> None:
        self._running = asyncio.ensure_future(self._run())
        self._running.add_done_callback(_told)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._input is not None:
            self._input.write(data)
        elif not self._is_input_over:
            self._early.append(data)
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        self._is_input_over = True
        if self._input is not None and self._terminal is None:
            # Not now: we may be in the very write that made room, and asyncio would drop what was written since. (A terminal
            # has a sign of its own for its end.)
            asyncio.get_running_loop().call_soon(self._input.close)
        return True

    def pause_writing(self) -> None:
        for output in self._outputs:
            output.pause()

    def resume_writing(self) -> None:
        for output in self._outputs:
            output.resume()

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        if self._session is not None:
            self._session.resize(min(max(height, 1), _MOST_SIDE), min(max(width, 1), _MOST_SIDE))

    def signal_received(self, signal_name: str) -> None:
        number = getattr(signal, f"SIG{signal_name}", None)
        if self._session is not None and isinstance(number, signal.Signals):
            self._session.signal(number)

    def break_received(self, msec: int) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._running is None:
            self._leave()
        else:
            self._running.cancel()

    # The program

    async def _run(self) -> None:
        try:
            self._session = await self._started()
            await self._joined(self._session)
        except EntryRefused as exc:
            _log.debug("ssh.refused", lease=self._entrance.lease, reason=exc.reason)
            if not self._is_lost:
                self._channel.write_stderr(f"bourse: {exc}\r\n".encode())
                self._channel.exit(_NOT_STARTED)
        finally:
            self._let_go()

    async def _started(self) -> JobSession:
        """Start it on a thread. One that is there when nobody wants it any more is ended at once."""
        starting = asyncio.ensure_future(asyncio.to_thread(self._start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            starting.add_done_callback(_discarded)
            raise

    async def _joined(self, session: JobSession) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(session.fileno(), ended.set)
        try:
            await self._connect(session)
            await ended.wait()
        finally:
            loop.remove_reader(session.fileno())
        code = session.poll()
        await self._drained()
        self._channel.exit(code if code is not None else _NOT_STARTED)

    async def _connect(self, session: JobSession) -> None:
        """Join its input and outputs to the channel."""
        loop = asyncio.get_running_loop()
        near = session.terminal
        handles = session.pipes if near is None else (os.dup(near), near)
        self._files = [os.fdopen(handle, "rb" if place else "wb", 0) for place, handle in enumerate(handles)]
        for file, kind in zip(self._files[1:], (None, asyncssh.EXTENDED_DATA_STDERR), strict=False):
            output = _Output(self._channel, kind, file)
            await loop.connect_read_pipe(lambda output=output: output, file)  # type: ignore[misc]
            self._outputs.append(output)
        transport, _ = await loop.connect_write_pipe(lambda: self._writing, self._files[0])
        transport.set_write_buffer_limits(_WAITING_BYTES)
        self._input = transport
        for early in self._early:
            transport.write(early)
        self._early.clear()
        if self._is_input_over:
            self.eof_received()
        self._channel.resume_reading()

    async def _drained(self) -> None:
        """Wait until all that it has printed is passed on, however slowly the client takes it; what it left behind may print on."""
        while rest := [output for output in self._outputs if output.has_more]:
            waiting = [asyncio.ensure_future(output.moved.wait()) for output in rest]
            await asyncio.wait(waiting, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for output, one in zip(rest, waiting, strict=True):
                output.moved.clear()
                one.cancel()

    def _let_go(self) -> None:
        self._leave()
        if self._session is not None:
            self._session.close()
        for output in self._outputs:
            output.close()
        if self._input is not None and not self._writing.is_over:
            self._input.abort()
        for file in self._files:
            file.close()


def _told(running: asyncio.Task[None]) -> None:
    if not running.cancelled() and (error := running.exception()) is not None:
        _log.warning("ssh.session_failed", error=f"{error!r:.400}")


class _Output(asyncio.Protocol):
    """What the program prints on one of its two ways out."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], kind: int | None, file: IO[bytes]) -> None:
        self._channel, self._kind, self._file = channel, kind, file
        self.moved = asyncio.Event()
        """Some of it was passed on, or it is over."""
        self._is_over = self._is_paused = False
        self._transport: asyncio.ReadTransport | None = None

    @property
    def has_more(self) -> bool:
        """Whether something is printed that was not passed on."""
        return not self._is_over and is_readable(self._file.fileno())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.moved.set()
        with contextlib.suppress(OSError):  # the channel is closing
            self._channel.write(data, self._kind)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = True
        self.moved.set()

    def pause(self) -> None:
        if self._transport is not None and not self._is_over and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._is_over and self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Input(asyncio.Protocol):
    """What the client types: while the program does not read, the client has to wait."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel
        self.is_over = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        self._channel.resume_reading()


def _discarded(starting: asyncio.Future[JobSession]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        starting.result().discard()
