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
from typing import Any, Final

import asyncssh
import structlog

from marketplace.domain.sitting import EntryRefused
from marketplace.provider.executors.entrance import Entrance, JobSession, Program, Terminal

FILES: Final = "marketplace.provider.seats.files"
LINGER_SECONDS: Final = 1.0
"""How long the output of a program that has ended is read on while nothing comes: what it left behind may hold it open."""
_WAITING_BYTES: Final = 1 << 18
_MOST_SIDE: Final = 10_000
_NOT_STARTED: Final = 126

_log = structlog.get_logger()


class SeatSession(asyncssh.SSHServerSession[bytes]):
    """A shell, a command or a file transfer. ``leave`` is called once, when it is over."""

    def __init__(self, entrance: Entrance, leave: Callable[[], None]) -> None:
        self._entrance, self._leave = entrance, leave
        self._terminal: Terminal | None = None
        self._start: Callable[[], JobSession] = lambda: self._entrance.run(Program(terminal=self._terminal))
        self._session: JobSession | None = None
        self._outputs: list[_Output] = []
        self._early: list[bytes] = []
        self._input: asyncio.WriteTransport | None = None
        self._is_input_over = self._is_lost = False
        self._running: asyncio.Task[None] | None = None

    # What asyncssh tells

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

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

    def data_received(self, data: bytes, datatype: int | None) -> None:
        if self._input is not None:
            self._input.write(data)
        elif not self._is_input_over:
            self._early.append(data)
            self._channel.pause_reading()

    def eof_received(self) -> bool:
        self._is_input_over = True
        if self._input is not None and self._terminal is None:
            self._input.close()  # a terminal has its own sign for that
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
            self._session = await asyncio.to_thread(self._start)
            await self._joined(self._session)
        except EntryRefused as exc:
            _log.debug("seat.refused", lease=self._entrance.lease, reason=exc.reason)
            if not self._is_lost:
                self._channel.write_stderr(f"bourse: {exc}\r\n".encode())
                self._channel.exit(_NOT_STARTED)
        finally:
            self._let_go()

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
        writing = os.dup(session.terminal) if session.terminal is not None else session.pipes[0]
        reading: list[tuple[int, int | None]] = [] if session.terminal is None else [(session.terminal, None)]
        reading += list(zip(session.pipes[1:], (None, asyncssh.EXTENDED_DATA_STDERR), strict=False))
        for handle, kind in reading:
            output = _Output(self._channel, kind)
            await loop.connect_read_pipe(lambda output=output: output, os.fdopen(handle, "rb", 0))  # type: ignore[misc]
            self._outputs.append(output)
        transport, _ = await loop.connect_write_pipe(lambda: _Input(self._channel), os.fdopen(writing, "wb", 0))
        transport.set_write_buffer_limits(_WAITING_BYTES)
        self._input = transport
        for early in self._early:
            transport.write(early)
        self._early.clear()
        if self._is_input_over:
            self.eof_received()
        self._channel.resume_reading()

    async def _drained(self) -> None:
        """Wait for the rest of its output: to the end, or until none comes for a while although the client takes it."""
        while not all(output.is_over for output in self._outputs):
            before = sum(output.passed for output in self._outputs)
            waiting = [asyncio.ensure_future(output.over.wait()) for output in self._outputs]
            await asyncio.wait(waiting, timeout=LINGER_SECONDS)
            for one in waiting:
                one.cancel()
            is_held = any(output.is_paused for output in self._outputs)
            if not is_held and sum(output.passed for output in self._outputs) == before:
                return

    def _let_go(self) -> None:
        for output in self._outputs:
            output.close()
        if self._input is not None:
            self._input.abort()
        if self._session is not None:
            self._session.close()
        self._leave()


class _Output(asyncio.Protocol):
    """What the program prints on one of its two ways out."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes], kind: int | None) -> None:
        self._channel, self._kind = channel, kind
        self.passed = 0
        self.is_paused = False
        self.over = asyncio.Event()
        self._transport: asyncio.ReadTransport | None = None

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.ReadTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.passed += len(data)
        with contextlib.suppress(OSError):  # the channel is closing
            self._channel.write(data, self._kind)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    def pause(self) -> None:
        if self._transport is not None and not self.is_over and not self.is_paused:
            self.is_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self.is_over and self.is_paused:
            self.is_paused = False
            self._transport.resume_reading()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Input(asyncio.Protocol):
    """What the client types: while the program does not read, the client has to wait."""

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = channel

    def pause_writing(self) -> None:
        self._channel.pause_reading()

    def resume_writing(self) -> None:
        self._channel.resume_reading()
