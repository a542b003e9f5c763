"""What a gateway knows of GPUs: which were measured, and how busy those of a job, and the job itself, are."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace.api.client.http import accepted
from marketplace.api.client.signed_http import SignedHttp
from marketplace.api.gpu_use import GpuSampleDocument, GpuSamplesAnswer, GpuSamplesSent
from marketplace.api.job_use import JobSampleDocument, JobSamplesAnswer, JobSamplesSent
from marketplace.api.measurements import MOST_OFFERS_ASKED, MeasurementsAnswer, MeasurementSent
from marketplace.api.reading import MOST_LIST_BYTES, read
from marketplace.api.record import to_json
from marketplace.domain.ids import Bytes32, OfferId
from marketplace.domain.measurements import SignedMeasurement

_JSON = {"Content-Type": "application/json"}


class GatewayGpus:
    """One gateway's word, and ours to it."""

    def __init__(self, line: SignedHttp) -> None:
        self._line = line

    def measurements(self, offers: Sequence[OfferId]) -> dict[OfferId, SignedMeasurement]:
        """What the agents of these offers saw of their GPUs. Nothing about it has been checked (``chain.statements``)."""
        found: dict[OfferId, SignedMeasurement] = {}
        for first in range(0, len(offers), MOST_OFFERS_ASKED):
            some = ",".join(map(str, offers[first : first + MOST_OFFERS_ASKED]))
            body = self._line.get(f"/v1/measurements?offers={some}", MOST_LIST_BYTES)
            found |= read(MeasurementsAnswer, body, most_bytes=MOST_LIST_BYTES).by_offer
        return found

    def post_measurement(self, signed: SignedMeasurement) -> None:
        """Leave what our agent saw of the GPUs behind an offer of ours."""
        accepted(self._line.write("POST", "/v1/measurements", to_json(MeasurementSent.of(signed)), _JSON))

    def samples(self, lease: Bytes32) -> list[GpuSampleDocument]:
        """How busy the GPUs of a lease were lately, oldest first: its provider's word."""
        return read(GpuSamplesAnswer, self._line.get(f"/v1/leases/{lease}/gpus")).samples

    def post_samples(self, lease: Bytes32, samples: list[GpuSampleDocument]) -> None:
        """Say how busy the GPUs of a lease of ours are."""
        accepted(self._line.write("POST", f"/v1/leases/{lease}/gpus", to_json(GpuSamplesSent(samples)), _JSON))

    def job_samples(self, lease: Bytes32) -> list[JobSampleDocument]:
        """What the job of a lease used of processors and memory lately, oldest first: its provider's word."""
        return read(JobSamplesAnswer, self._line.get(f"/v1/leases/{lease}/usage")).samples

    def post_job_samples(self, lease: Bytes32, samples: list[JobSampleDocument]) -> None:
        """Say what the job of a lease of ours uses."""
        accepted(self._line.write("POST", f"/v1/leases/{lease}/usage", to_json(JobSamplesSent(samples)), _JSON))
