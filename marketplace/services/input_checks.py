"""Whether an order's inputs are bundles that its provider can unpack: looked at before anybody pays for it.

A file that comes does not say what it is a part of; the work that an order names does. So the look is at the order, and at each bundle once:
what is named by its hash never changes. Headers are read and contents skipped. What is sealed nobody can look at but its provider.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from marketplace.domain.archives import Seekable
from marketplace.domain.bundle_rules import Allowance
from marketplace.domain.errors import InvalidField, MissingBlob, NotFound, StoreUnavailable, TooManyRequests
from marketplace.domain.ids import Sha256, sha256_of
from marketplace.domain.limits import MAX_CONTENT_BYTES, MAX_FILES
from marketplace.domain.unpacking import judge_bundle
from marketplace.domain.work import Input
from marketplace.services.order_checks import OrderDocuments
from marketplace.store.blobs import FolderBlobs

MOST_READS: Final = 8 * MAX_FILES
"""Of one bundle: three for each entry with a long name, twice where they have to be sorted, and some seconds of a processor."""
MOST_READ_BYTES: Final = 2 << 30
SMALL_BYTES: Final = 1 << 18
"""So many are looked at in a moment, and at once with others."""
AT_ONCE: Final = 2
"""Of those that are larger."""
_BUNDLES_KEPT = 4096
_WAIT_SECONDS = 2


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a bundle takes of its order's allowance, or why it is none."""

    bytes: int
    entries: int
    rule: str = ""


class InputCheck:
    """For all threads of a process."""

    def __init__(self, blobs: FolderBlobs, *, at_once: int = AT_ONCE) -> None:
        self._blobs = blobs
        self._seen, self._lock = OrderedDict[Sha256, _Seen](), threading.Lock()
        self._places = threading.BoundedSemaphore(at_once)

    def is_quick(self, documents: OrderDocuments) -> bool:
        """Whether what was not looked at before is small, all of it together."""
        return sum(item.bytes for item in documents.bundles if not self._known(item.parts)) <= SMALL_BYTES

    def require_bundles(self, documents: OrderDocuments) -> None:
        """Look at each, and at all together beside the order's disk. The parts are there, of the sizes that the work says.

        Raises InvalidField and MissingBlob, naming the input; TooManyRequests where others' large ones are being looked at; StoreUnavailable.
        """
        allowance = Allowance(documents.spec.resources.disk_mib << 20)
        for number, item in enumerate(documents.bundles):
            where = f"work.inputs[{number}]"
            seen = self._known(item.parts) or self._look(item, where)
            if seen.rule:
                raise InvalidField(where, seen.rule)
            try:
                allowance.take(seen.bytes, seen.entries)
            except InvalidField as exc:
                raise InvalidField(where, exc.rule) from None

    def _known(self, parts: Sequence[Sha256]) -> _Seen | None:
        with self._lock:
            return self._seen.get(_name_of(parts))

    def _look(self, item: Input, where: str) -> _Seen:
        if item.bytes <= SMALL_BYTES:
            return self._remembered(item, self._judged(item, where))
        if not self._places.acquire(blocking=False):
            raise TooManyRequests("large inputs of other orders are being looked at", _WAIT_SECONDS)
        try:
            return self._remembered(item, self._judged(item, where))
        finally:
            self._places.release()

    def _judged(self, item: Input, where: str) -> _Seen:
        allowance = Allowance(MAX_CONTENT_BYTES)
        try:
            with self._blobs.joined(item.parts) as stream:
                judge_bundle(_Bounded(stream), allowance)
        except InvalidField as exc:
            return _Seen(0, 0, str(exc))
        except (NotFound, FileNotFoundError):
            raise MissingBlob(f"{where}.parts", item.parts[0]) from None
        except OSError as exc:
            raise StoreUnavailable("blob store") from exc
        return _Seen(MAX_CONTENT_BYTES - allowance.bytes, MAX_FILES - allowance.entries)

    def _remembered(self, item: Input, seen: _Seen) -> _Seen:
        with self._lock:
            self._seen[_name_of(item.parts)] = seen
            if len(self._seen) > _BUNDLES_KEPT:
                self._seen.popitem(last=False)
        return seen


def _name_of(parts: Sequence[Sha256]) -> Sha256:
    return sha256_of("".join(parts).encode())


class _Bounded:
    """A stream of which only so much is read: headers can follow each other for as long as a bundle is, and so can empty blocks."""

    def __init__(self, stream: Seekable) -> None:
        self._stream, self._reads, self._bytes = stream, 0, 0

    def read(self, size: int) -> bytes:
        if self._reads >= MOST_READS or self._bytes >= MOST_READ_BYTES:
            raise InvalidField("bundle", f"has more headers, or more behind its end, than {MAX_FILES} files take")
        piece = self._stream.read(size)
        self._reads += 1
        self._bytes += len(piece)
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()
