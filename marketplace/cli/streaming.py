"""What comes while `bourse run` waits: how far the inputs are, and what the job prints, beside the line that says where it stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from rich.status import Status

from marketplace.cli.session import CommandSession
from marketplace.client import Draft
from marketplace.client.transfers import UploadProgress
from marketplace.domain.errors import GatewayError

_MIB = 1 << 20


class ShownOutput:
    """A job's output on its way to stdout (with ``--json`` to stderr), as it comes. The line that says where the job stands makes way for it."""

    def __init__(self, session: CommandSession, line: Status) -> None:
        self._session, self._line = session, line
        self._is_midline = False
        self._unfinished: dict[int, str] = {}
        """Of each node: a line whose end has not come yet."""

    def write(self, text: str) -> None:
        """Print what came, and nothing that a terminal would obey. Who has read enough closes the pipe; the job is looked after all the same."""
        self._line.stop()
        try:
            self._session.write(text)
        except BrokenPipeError:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._session.output.fileno())
        self._is_midline = not text.endswith("\n")

    def write_of_node(self, rank: int, text: str) -> None:
        """The same of one node of several: whole lines only, each with whose it is."""
        # A carriage return alone begins a line for ``harmless``: one that does not say whose it is could say another's.
        told = text.replace("\r\n", "\n").replace("\r", "\n")
        *lines, rest = (self._unfinished.get(rank, "") + told).split("\n")
        self._unfinished[rank] = rest
        if lines:
            self.write("".join(f"[node {rank}] {line}\n" for line in lines))

    def end(self) -> None:
        """Nothing more comes: what follows begins a line."""
        for rank, rest in sorted(self._unfinished.items()):
            if rest:
                self.write(f"[node {rank}] {rest}\n")
        self._unfinished = {}
        if self._is_midline:
            self.write("\n")


@contextmanager
def uploading(session: CommandSession, draft: Draft) -> Iterator[UploadLine]:
    """Show how far the inputs are; say of an upload that broke off what is there of it."""
    first = draft.prepared[0].inputs
    with session.err.status("sending the job") as line:
        shown = UploadLine(line)
        try:
            yield shown
        except GatewayError:
            if first is not None and 0 < shown.last.done_bytes < shown.last.total_bytes:
                goes_on = "" if draft.request.sealed else ": the same command goes on with the rest"
                session.say(
                    f"inputs: {_mib(shown.last.done_bytes)} of {_mib(shown.last.total_bytes)} are there{goes_on}"
                )
            raise
    if shown.last.total_bytes >= _MIB:
        spared = f", {_mib(shown.last.spared_bytes)} of them were there" if shown.last.spared_bytes else ""
        session.say(f"inputs: {_mib(shown.last.total_bytes)} are at the gateway{spared}")


class UploadLine:
    """The line that says how far an upload is."""

    def __init__(self, line: Status) -> None:
        self._line = line
        self.last = UploadProgress(0, 0)

    def show(self, upload: UploadProgress) -> None:
        self.last = upload
        self._line.update(f"sending inputs, {_mib(upload.done_bytes)} of {_mib(upload.total_bytes)}")


def _mib(size: int) -> str:
    """Bytes in MiB, to a tenth, rounded up: 0 is nothing."""
    tenths = -(-size * 10 // _MIB)
    return f"{tenths // 10}.{tenths % 10} MiB"
