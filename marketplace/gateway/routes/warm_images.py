"""Which providers have which container images unpacked."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from marketplace.api.reading import asked_in
from marketplace.api.warm_images import WarmImageAnswer, WarmImagesSent, WarmImagesTaken
from marketplace.domain.ids import sha256
from marketplace.gateway.auth import DesksHere, Sender
from marketplace.gateway.bodies import JsonObject
from marketplace.gateway.openapi import asked, told
from marketplace.gateway.parameters import BlobName
from marketplace.gateway.responses import answer

router = APIRouter(tags=["market"])


@router.get("/v1/images/{name}/providers", responses=told(WarmImageAnswer))
def list_warm_providers(name: BlobName, desks: DesksHere) -> Response:
    """The providers that say that they have this image, by its manifest's digest: a job in it starts there at once."""
    return answer(desks.warm_images.of(sha256(name)))


@router.post("/v1/images", responses=told(WarmImagesTaken), openapi_extra=asked(WarmImagesSent))
def post_warm_images(document: JsonObject, sender: Sender, desks: DesksHere) -> Response:
    """A provider says which images it has, all of them anew; the answer is what it sent. It stands for a quarter of an hour."""
    sent = asked_in(WarmImagesSent, document)
    desks.warm_images.post(sender, sent)
    return answer(WarmImagesTaken(sent.images))
