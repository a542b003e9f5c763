"""What a client hands to each provider that serves a job of its: the key of a sealed one, and secrets, sealed to it (``marketplace.sealing``)."""

from __future__ import annotations

from marketplace.api.client.gateway import GatewayApi
from marketplace.chain.market import MarketContract
from marketplace.client.journal import JobJournal
from marketplace.client.journal_rows import KeptOrder
from marketplace.client.retries import Sight
from marketplace.client.secret_values import SecretKeeper
from marketplace.domain.blocks import BlockRef
from marketplace.domain.errors import DomainError, GatewayError, InvalidField
from marketplace.domain.ids import Bytes32, OfferId, sha256_in
from marketplace.domain.job_secrets import Entrusted
from marketplace.domain.leases import LeaseStatus
from marketplace.domain.limits import MAX_SPEC_BYTES
from marketplace.domain.spec import read_machine
from marketplace.domain.units import UnixTime
from marketplace.sealing import seal

NOTHING = Entrusted(None)


class KeyBearer:
    """Hands them to the provider that the chain names, sealed to the recipient that its offer names by hash."""

    def __init__(self, market: MarketContract, api: GatewayApi, book: JobJournal, secrets: SecretKeeper) -> None:
        self._market, self._api, self._book, self._secrets = market, api, book, secrets
        self._brought: dict[Bytes32, UnixTime] = {}
        """By lease: the opening for which it was left at the gateway. In memory only: leaving it twice is harmless."""

    def bring(self, order: KeptOrder, sight: Sight) -> None:
        """Leave them at the gateway, once for each opening. What stands in the way becomes the order's note, and is tried again."""
        lease, identifier = sight.lease, order.signed.id
        if lease.status is not LeaseStatus.OPEN or self._brought.get(identifier) == lease.opened_at:
            return
        key = self._book.job_key(order.job)
        try:
            entrusted = Entrusted(key, self._secrets.of(order))
            if entrusted != NOTHING:
                recipient = self._recipient(OfferId(lease.offer), sight.block)
                self._api.post_job_key(identifier, seal(entrusted.content(), recipient))
                self._book.note(identifier, "")
        except (DomainError, GatewayError) as exc:
            what = "the job's secrets are" if key is None else "the key of the sealed job is"
            self._book.note(identifier, f"{what} not handed over yet: {exc}")
            return
        self._brought[identifier] = lease.opened_at

    def _recipient(self, number: OfferId, block: BlockRef) -> str:
        """Whom the offer's machine description names, which is believed for its hash on the chain. Raises InvalidField where it names nobody."""
        offer = self._market.listing_of(number, block)
        if offer is None:
            raise InvalidField("offer", f"{number} is not on the chain")
        machine = read_machine(self._api.fetch_blob(sha256_in(offer.spec), limit_bytes=MAX_SPEC_BYTES))
        if machine.recipient is None:
            raise InvalidField("machine.recipient", "is missing: this provider takes no sealed jobs")
        return machine.recipient
