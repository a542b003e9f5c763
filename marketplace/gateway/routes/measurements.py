"""What providers' agents saw of their GPUs, in their signed words."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.measurements import MeasurementsAnswer, MeasurementSent, MeasurementTold
from marketplace.domain.ids import OfferId
from marketplace.domain.json_reader import Reader
from marketplace.domain.measurements import SignedMeasurement, read_measurement
from marketplace.domain.wire import signature_from_wire
from marketplace.gateway.auth import DesksHere, Sender
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import OffersNamed
from marketplace.gateway.responses import answer

router = APIRouter(tags=["market"])


@router.get("/v1/measurements", responses=told(MeasurementsAnswer))
def list_measurements(offers: OffersNamed, desks: DesksHere) -> Response:
    """What the agents of these offers saw of their GPUs; an offer that is not among the answers is declared, and nobody looked."""
    found = desks.measurements.of(OfferId(int(number)) for number in offers.split(","))
    return answer(MeasurementsAnswer([MeasurementTold.of(found[offer]) for offer in sorted(found)]))


@router.post("/v1/measurements", responses=told(MeasurementTold), openapi_extra=asked(MeasurementSent))
def post_measurement(document: JsonObject, sender: Sender, desks: DesksHere) -> Response:
    """A provider says what its agent saw at a block of the GPUs behind an offer; its newest word counts."""
    reader = Reader(document, "")
    signed = SignedMeasurement(
        read_measurement(reader.take("measurement", dict)), signature_from_wire(reader.take("signature", str))
    )
    reader.end()
    desks.measurements.post(sender, signed)
    return answer(MeasurementTold.of(signed))
