"""Who may read what a lease is about: its work, inputs, log, outputs and result.

Its parties may: client, acceptor, whoever signed the order, and the provider that serves it, as of the chain's head. So may everybody
where the spec says that the job is public, and whom somebody on the client's side gave leave to read the log or the outputs (``chain.shares``).
To all others the lease's papers are not there, whether they are or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from marketplace.chain.eip1271 import is_approved_by
from marketplace.chain.market import MarketContract
from marketplace.chain.shares import Part, Share, check_share
from marketplace.chain.signing import recover
from marketplace.domain.errors import ImageUnusable, InvalidField, MissingBlob, NotFound, Unauthorized
from marketplace.domain.ids import ZERO_ADDRESS, Address, Bytes32, Sha256, sha256_in
from marketplace.domain.limits import MAX_SPEC_BYTES, MAX_WORK_BYTES
from marketplace.domain.orders import Order
from marketplace.domain.spec import JobSpec, read_spec
from marketplace.domain.work import Work, read_work
from marketplace.images.manifests import MAX_MANIFEST_BYTES, market_blobs
from marketplace.services.blob_access import BlobAccess, Holdings, bringers_of
from marketplace.services.leases import LeaseDesk
from marketplace.services.servings import Servings
from marketplace.store.journal.operator import OperatorJournal


@dataclass(frozen=True, slots=True)
class Papers:
    """An order, who stands on its client's side, and its spec where that is here."""

    order: Order
    client_side: frozenset[Address]
    bringers: frozenset[Address]
    """Whose files the order's work may name: an acceptor is named by whoever writes the order, and has agreed to nothing."""
    spec: JobSpec | None


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: an account that signed, somebody with a party's leave, or nobody."""

    account: Address | None
    share: Share | None = None


class LeaseAccess:
    """Lets a lease's parties read, and nobody else."""

    def __init__(
        self,
        market: MarketContract,
        journal: OperatorJournal,
        library: BlobAccess,
        servings: Servings,
        leases: LeaseDesk,
    ) -> None:
        self._market, self._journal, self._library = market, journal, library
        self._servings, self._leases = servings, leases

    def require(self, reader: Asker, identifier: Bytes32, part: Part) -> Papers:
        """The lease's papers. Raise Unauthorized for nobody, and NotFound for whom they are none of its business, as if there were none."""
        papers = self._papers_or_none(identifier)
        if papers is not None and papers.spec is not None and papers.spec.public:
            return papers
        if reader.share is not None:
            return self._shared(reader.share, identifier, part, papers)
        if reader.account is None:
            raise Unauthorized("only the parties of the lease may read this: sign the request, or bring a session")
        if papers is None or not self._is_party(reader.account, identifier, papers):
            raise NotFound("lease", identifier)
        return papers

    def require_party(self, account: Address | None, identifier: Bytes32) -> None:
        """As ``require``, also of a public job: raise Unauthorized for nobody, NotFound for whoever is no party."""
        if account is None:
            raise Unauthorized("only the parties of the lease may read this: sign the request, or bring a session")
        papers = self._papers_or_none(identifier)
        if papers is None or not self._is_party(account, identifier, papers):
            raise NotFound("lease", identifier)

    def is_on_client_side(self, account: Address, identifier: Bytes32) -> bool:
        """Whether it is the order's client, its acceptor, or whoever signed it."""
        papers = self._papers_or_none(identifier)
        return papers is not None and account in papers.client_side

    def require_blob(self, reader: Asker, identifier: Bytes32, name: Sha256) -> None:
        """As ``require``, for a blob that the lease's work or result names, and that the side which names it brought."""
        papers = self.require(reader, identifier, Part.OUTPUTS if reader.share is None else reader.share.part)
        if not self._is_made(name, identifier, reader) and (reader.share or not self._is_given(name, papers)):
            raise NotFound("blob", name)

    def _shared(self, share: Share, identifier: Bytes32, part: Part, papers: Papers | None) -> Papers:
        """Whoever signed it is on the client's side. Raises Unauthorized where it does not hold, NotFound where it opens nothing here."""
        head = self._market.chain.paced_head()

        def is_approved(account: Address, digest: Bytes32, signature: str) -> bool:
            return is_approved_by(self._market.chain, account, digest, signature, head)

        check_share(share, identifier, head.timestamp, self._market.domain, is_approved)
        if papers is None or share.account not in papers.client_side or share.part is not part:
            raise NotFound("lease", identifier)
        return papers

    def _is_party(self, reader: Address, identifier: Bytes32, papers: Papers) -> bool:
        return reader in papers.client_side or reader == self._provider(identifier)

    def _provider(self, identifier: Bytes32) -> Address | None:
        try:
            return self._servings.now(identifier).provider
        except NotFound:
            return None

    def _is_given(self, name: Sha256, papers: Papers) -> bool:
        """Whether it is the work, or a part of one of its inputs, from the client's side."""
        if papers.spec is None:
            return False
        theirs = self._library.of(papers.bringers)
        if theirs.size(name) is None:
            return False
        if name == papers.spec.work.sha256:
            return True
        try:
            work = _work_in(theirs.read(papers.spec.work.sha256, MAX_WORK_BYTES))
        except (NotFound, InvalidField):
            return False
        return any(name in item.parts for item in work.inputs) or _is_of_image(name, papers.spec, theirs)

    def _is_made(self, name: Sha256, identifier: Bytes32, reader: Asker) -> bool:
        """Whether it is an output or the log, as far as the reader may have it, from the provider that serves the lease."""
        try:
            provider = self._servings.now(identifier).provider
            found = self._leases.outputs(identifier).result
        except NotFound:
            return False
        logs, named = {found.log.sha256}, set(found.blobs())
        shared = {Part.LOG: logs, Part.OUTPUTS: named - logs}
        open_to_reader = named if reader.share is None else shared[reader.share.part]
        return name in open_to_reader and self._library.of((provider,)).size(name) is not None

    def _papers_or_none(self, identifier: Bytes32) -> Papers | None:
        try:
            return self._papers(identifier)
        except NotFound:
            return None

    def _papers(self, identifier: Bytes32) -> Papers:
        """What is known of an order: ours, or one that its client opened past this gateway. Raises NotFound."""
        row = self._journal.order(identifier)
        if row is not None:
            order = row.signed.order
            signer = _signer_of(identifier, row.signed.signature)
            return Papers(order, _side(order, signer), bringers_of(order, signer), read_spec(row.spec))
        order = self._servings.order_of(identifier)
        return Papers(order, _side(order, None), bringers_of(order, None), self._spec_of(order))

    def _spec_of(self, order: Order) -> JobSpec | None:
        try:
            return read_spec(self._library.of(bringers_of(order, None)).read(sha256_in(order.spec), MAX_SPEC_BYTES))
        except (NotFound, MissingBlob, InvalidField):
            return None


def _is_of_image(name: Sha256, spec: JobSpec, theirs: Holdings) -> bool:
    """Whether it is of the container image, among the market's own blobs, that the spec names."""
    image = spec.image_name
    if image is None or not image.is_blob:
        return False
    if name == image.digest:
        return True
    try:
        return name in _image_in(theirs.read(image.digest, MAX_MANIFEST_BYTES), image.digest)
    except (NotFound, InvalidField, ImageUnusable):
        return False


def _side(order: Order, signer: Address | None) -> frozenset[Address]:
    return (bringers_of(order, signer) | {order.acceptor}) - {ZERO_ADDRESS}


@lru_cache(4096)
def _signer_of(identifier: Bytes32, signature: str) -> Address | None:
    return recover(identifier, signature)


@lru_cache(64)
def _work_in(content: bytes) -> Work:
    return read_work(content)


@lru_cache(64)
def _image_in(content: bytes, name: Sha256) -> dict[Sha256, int]:
    return market_blobs(content, name)
