"""What providers' agents saw of the GPUs behind offers, with their signatures."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Raw
from msgspec.json import decode

from marketplace.api.documents import HashedDocument, named_by_hash
from marketplace.api.fields import BlobText, BlockNumber, Instant, OfferNumber, SignatureText
from marketplace.api.reading import as_answer
from marketplace.api.record import Document, Record
from marketplace.domain.canonical import canonical_json
from marketplace.domain.errors import InvalidField
from marketplace.domain.measurements import MOST_LETTERS, MOST_MEASURED, MOST_SEEN, SignedMeasurement, read_measurement

MOST_OFFERS_ASKED = 100


Line = Annotated[str, Meta(min_length=1, max_length=MOST_LETTERS, pattern=r"^[ -~]*\Z")]
Seen = Annotated[int, Meta(ge=0, le=MOST_SEEN)]


class MeasuredGpuDocument(HashedDocument, frozen=True, forbid_unknown_fields=True):
    """One GPU as the driver showed it; null: it did not tell."""

    uuid: Line
    name: Line
    memory_mib: Annotated[int, Meta(ge=1, le=MOST_SEEN)]
    capability: Line | None
    pcie_generation: Seen | None
    pcie_lanes: Seen | None
    nvlinks: Seen | None
    has_ecc: bool | None


class MeasurementDocument(HashedDocument, frozen=True, forbid_unknown_fields=True):
    """What a provider's agent saw at a block."""

    version: Literal[1]
    offer: OfferNumber
    machine: BlobText
    """The machine description that the offer names."""
    block: BlockNumber
    seen_at: Instant
    driver: Line | None
    cuda: Line | None
    gpus: Annotated[list[MeasuredGpuDocument], Meta(min_length=1, max_length=MOST_MEASURED)]


Told = Annotated[Raw, named_by_hash(MeasurementDocument)]


class MeasurementSent(Document, frozen=True):
    """A measurement with its provider's signature."""

    measurement: Told
    signature: SignatureText

    @classmethod
    def of(cls, signed: SignedMeasurement) -> MeasurementSent:
        return cls(Raw(canonical_json(signed.measurement.document())), signed.signature)


class MeasurementTold(Record, frozen=True):
    """As it was signed. Check the signature against the offer's provider."""

    measurement: Told
    signature: SignatureText

    @classmethod
    def of(cls, signed: SignedMeasurement) -> MeasurementTold:
        return cls(Raw(canonical_json(signed.measurement.document())), signed.signature)

    @property
    def signed(self) -> SignedMeasurement:
        """Raises UnreadableAnswer."""
        try:
            return SignedMeasurement(read_measurement(decode(self.measurement)), self.signature)
        except InvalidField as exc:
            raise as_answer(exc) from None


class MeasurementsAnswer(Record, frozen=True):
    """Of the offers that were asked for, those that were measured."""

    items: Annotated[list[MeasurementTold], Meta(max_length=MOST_OFFERS_ASKED)]

    @property
    def by_offer(self) -> dict[OfferNumber, SignedMeasurement]:
        """Raises UnreadableAnswer."""
        return {one.measurement.offer: one for one in (told.signed for told in self.items)}
